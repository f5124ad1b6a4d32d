# Language, warnings, hardening and sanitizers for everything that is compiled here.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(WL_SANITIZE "" CACHE STRING "sanitizers: address,undefined | thread | empty")
option(WL_COVERAGE "count covered lines" OFF)
option(WL_FUZZ "build the fuzzers with libFuzzer (clang)" OFF)

add_library(wl_flags INTERFACE)
target_compile_options(wl_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wswitch-enum -Wvla -Wstrict-prototypes
    -Wmissing-prototypes -Wformat=2 -Wundef -Wno-gnu-zero-variadic-macro-arguments -Werror
    -fno-common -fno-omit-frame-pointer
    -fstack-protector-strong -fstack-clash-protection -fcf-protection)
target_link_options(wl_flags INTERFACE -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
if(WL_SANITIZE)
    target_compile_options(wl_flags INTERFACE -fsanitize=${WL_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(wl_flags INTERFACE -fsanitize=${WL_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    target_compile_options(wl_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(WL_COVERAGE)
    target_compile_options(wl_flags INTERFACE --coverage)
    target_link_options(wl_flags INTERFACE --coverage)
endif()
if(WL_FUZZ)
    target_compile_options(wl_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
