# The embedded control plane served over TLS, and a real kubectl against it. The kubectl is
# the one that tests/tools/deps.sh chose or fetched; without it the test is skipped.
add_executable(apiserver tools/apiserver_main.cpp)
target_link_libraries(apiserver PRIVATE sallyport_apiserver sallyport_serve sallyport_system)
add_test(NAME "e2e: kubectl" COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/kubectl_test.sh
                                     $<TARGET_FILE:apiserver>
                                     ${CMAKE_SOURCE_DIR}/build/tools/bin/kubectl)
set_tests_properties("e2e: kubectl" PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77 LABELS e2e)
