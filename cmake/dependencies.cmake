# Everything walletd stands on, as Debian packages it. scripts/deps installs them.
find_package(PkgConfig REQUIRED)
pkg_check_modules(WL_DEPS REQUIRED
    libzmq libczmq msgpack sqlite3 jansson libcurl inih libsodium libxxhash hiredis libmariadb)
find_package(Threads REQUIRED)
find_library(ROARING_LIBRARY roaring REQUIRED)
find_path(ROARING_INCLUDE roaring/roaring.h REQUIRED)
find_path(UTHASH_INCLUDE uthash.h REQUIRED)

add_library(wl_dependencies INTERFACE)
# Debian's headers lie in /usr/include: pkg-config's include folders, which change between two
# configurations and would compile everything again, are not needed.
target_link_libraries(wl_dependencies INTERFACE
    ${WL_DEPS_LINK_LIBRARIES} ${ROARING_LIBRARY} Threads::Threads m)
