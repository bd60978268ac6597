# The embedded control plane served over TLS, and a real kubectl against it. Skipped without kubectl.
add_executable(apiserver tools/apiserver_main.cpp)
target_link_libraries(apiserver PRIVATE sallyport_apiserver sallyport_serve sallyport_system)
add_test(NAME "e2e: kubectl" COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/e2e/kubectl_test.sh
                                     $<TARGET_FILE:apiserver> kubectl)
set_tests_properties("e2e: kubectl" PROPERTIES TIMEOUT 300 SKIP_RETURN_CODE 77 LABELS e2e)
