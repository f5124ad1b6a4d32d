# fuzz/fuzz_<thing>.c: with WL_FUZZ a libFuzzer program; otherwise the same source is linked to a
# plain main that replays fuzz/corpus/<thing>/, so that every old finding runs in ordinary ctest.
file(GLOB fuzz_sources CONFIGURE_DEPENDS fuzz/fuzz_*.c)
add_custom_target(fuzzers)
foreach(source IN LISTS fuzz_sources)
    get_filename_component(name ${source} NAME_WE)
    string(REPLACE "fuzz_" "" thing ${name})
    if(WL_FUZZ)
        add_executable(${name} ${source})
        target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
        add_executable(${name} ${source} fuzz/replay_main.c)
        add_test(NAME fuzz_replay_${thing}
            COMMAND ${name} ${CMAKE_SOURCE_DIR}/fuzz/corpus/${thing})
        set_tests_properties(fuzz_replay_${thing} PROPERTIES
            LABELS fuzz TIMEOUT 120 ENVIRONMENT "${wl_test_environment}")
    endif()
    target_link_libraries(${name} PRIVATE walletcore)
    add_dependencies(fuzzers ${name})
    set_source_files_properties(${source} fuzz/replay_main.c PROPERTIES
        COMPILE_OPTIONS -Wno-missing-prototypes)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
endforeach()
