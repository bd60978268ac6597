# Two builds of sim_tests, ONE and OTHER: the same seeds give the same traces in both.
foreach(build ONE OTHER)
  execute_process(COMMAND ${${build}} --no-skip "--test-case=traces: of the first seeds"
                  OUTPUT_VARIABLE text RESULT_VARIABLE code)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${${build}} ends with ${code}:\n${text}")
  endif()
  string(REGEX MATCHALL "trace of seed [0-9]+ is [0-9a-f]+" ${build}_traces "${text}")
  message("${${build}}:\n${${build}_traces}")
endforeach()
list(LENGTH ONE_traces count)
if(count EQUAL 0 OR NOT ONE_traces STREQUAL OTHER_traces)
  message(FATAL_ERROR "the traces differ, or there are none")
endif()
