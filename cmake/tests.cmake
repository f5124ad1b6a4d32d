# tests/unit/<layer>/test_*.c and tests/actor/test_*.c are one Criterion program each.
# tests/system/*.py drive the real programs; tests/tools/* check the repository itself.
enable_testing()
find_library(CRITERION_LIBRARY criterion)
# Criterion 2.4.1 reports success after a leak unless the sanitizers abort.
set(wl_test_environment
    "ASAN_OPTIONS=abort_on_error=1:detect_stack_use_after_return=1"
    "LSAN_OPTIONS=abort_on_error=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1")

function(wl_add_criterion label source)
    get_filename_component(name ${source} NAME_WE)
    set(target ${label}_${name})
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE walletcore ${CRITERION_LIBRARY})
    # Criterion's macros define functions without prototypes; a source's own options come last.
    set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS -Wno-missing-prototypes)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    # Those that speak to real stores run beside private ones, started once for all of them.
    file(STRINGS ${source} uses_stores REGEX "WALLET_TEST_(REDIS|MYSQL|ETCD)|/stores[.]h|_(world|fixture)[.]h")
    set(command ${CMAKE_BINARY_DIR}/tests/${target})
    if(uses_stores)
        set(command ${wl_stores} run ${CMAKE_BINARY_DIR}/stores ${command})
    endif()
    add_test(NAME ${target} COMMAND ${command} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
    set_tests_properties(${target} PROPERTIES
        LABELS ${label} TIMEOUT 120 ENVIRONMENT "${wl_test_environment}")
    if(uses_stores)
        set_tests_properties(${target} PROPERTIES FIXTURES_REQUIRED stores)
    endif()
endfunction()

find_program(PYTHON /usr/bin/python3)
set(wl_stores ${PYTHON} ${CMAKE_SOURCE_DIR}/tests/tools/stores.py)
add_test(NAME stores_start COMMAND ${wl_stores} start ${CMAKE_BINARY_DIR}/stores)
add_test(NAME stores_stop COMMAND ${wl_stores} stop ${CMAKE_BINARY_DIR}/stores)
set_tests_properties(stores_start PROPERTIES FIXTURES_SETUP stores TIMEOUT 120)
set_tests_properties(stores_stop PROPERTIES FIXTURES_CLEANUP stores TIMEOUT 60)

# Criterion aborts under ThreadSanitizer; there, tests/soak is what runs.
if(CRITERION_LIBRARY AND NOT WL_FUZZ AND NOT WL_SANITIZE STREQUAL "thread")
    foreach(layer IN LISTS WL_LAYERS)
        file(GLOB unit_tests CONFIGURE_DEPENDS tests/unit/${layer}/test_*.c)
        foreach(source IN LISTS unit_tests)
            wl_add_criterion(unit ${source})
        endforeach()
    endforeach()
    file(GLOB tool_tests CONFIGURE_DEPENDS tests/unit/tools/test_*.c)
    foreach(source IN LISTS tool_tests)
        if(wl_tool_parts)
            get_filename_component(name ${source} NAME_WE)
            wl_add_criterion(unit ${source})
            target_link_libraries(unit_${name} PRIVATE ${wl_tool_parts})
        endif()
    endforeach()
    if("actors" IN_LIST WL_LAYERS)
        file(GLOB actor_tests CONFIGURE_DEPENDS tests/actor/test_*.c)
        foreach(source IN LISTS actor_tests)
            wl_add_criterion(actor ${source})
        endforeach()
    endif()
endif()

# The whole topology in one plain program; system_tests.cmake says where it runs.
if("actors" IN_LIST WL_LAYERS AND NOT WL_FUZZ)
    add_executable(soak tests/soak/soak.c)
    target_link_libraries(soak PRIVATE walletcore)
    set_target_properties(soak PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()
include(${CMAKE_CURRENT_LIST_DIR}/system_tests.cmake OPTIONAL)
