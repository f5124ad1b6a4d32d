# Tests that drive the real programs, and checks of the repository itself.
find_program(NODE node)

# wl_add_script(<label> <name> <timeout seconds> <command>...)
function(wl_add_script label name timeout)
    add_test(NAME ${label}_${name} COMMAND ${ARGN} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${label}_${name} PROPERTIES
        LABELS ${label} TIMEOUT ${timeout} ENVIRONMENT "${wl_test_environment}")
endfunction()

if(NOT WL_FUZZ AND "client" IN_LIST WL_LAYERS)
    wl_add_script(tidy tidy 120 ${PYTHON} tests/tools/tidy.py)
    wl_add_script(tidy docs 60 ${PYTHON} tests/tools/docs.py --check)

    file(GLOB system_tests CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/system/test_*.py)
    foreach(source IN LISTS system_tests)
        get_filename_component(name ${source} NAME_WE)
        string(REPLACE "test_" "" name ${name})
        set(label system)
        if(name MATCHES "^(crash|conformance|soak|cluster|hosts)")
            set(label ${CMAKE_MATCH_1})
        endif()
        wl_add_script(${label} ${name} 900 ${PYTHON} ${source})
        # They load both cores on purpose: alone, or their waits would mean nothing.
        set_tests_properties(${label}_${name} PROPERTIES RUN_SERIAL ON)
    endforeach()

    # tests/soak/soak.c in this tree, and in the tree that scripts/test builds with TSan.
    wl_add_script(soak here 300 ${CMAKE_BINARY_DIR}/tests/soak 10)
    wl_add_script(soak tsan 300 ${CMAKE_SOURCE_DIR}/build/tsan/tests/soak 20)
    set_property(TEST soak_tsan APPEND PROPERTY ENVIRONMENT
        "TSAN_OPTIONS=halt_on_error=1 suppressions=${CMAKE_SOURCE_DIR}/tests/soak/tsan.supp")
    set_tests_properties(soak_here soak_tsan PROPERTIES RUN_SERIAL ON)

    # Each fuzzer runs for a while in the tree that scripts/test builds with libFuzzer.
    set(WL_FUZZ_SECONDS 8 CACHE STRING "seconds per fuzz target in ctest")
    file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/fuzz/fuzz_*.c)
    foreach(source IN LISTS fuzz_sources)
        get_filename_component(name ${source} NAME_WE)
        string(REPLACE "fuzz_" "" thing ${name})
        wl_add_script(fuzz ${thing} 300 ${CMAKE_SOURCE_DIR}/tests/tools/fuzz.sh ${thing}
            ${WL_FUZZ_SECONDS})
    endforeach()
endif()
