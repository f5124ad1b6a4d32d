/* replay_main.c: runs a fuzz target over files and folders given as arguments, without libFuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static unsigned replayed;

static void replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    uint8_t *bytes = malloc(1 << 22);
    size_t count = bytes == NULL ? 0 : fread(bytes, 1, 1 << 22, file);
    (void)fclose(file);
    (void)LLVMFuzzerTestOneInput(bytes, count);
    free(bytes);
    replayed++;
}

static void replay(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL) {
        replay_file(path);
        return;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char child[4096];
        if (entry->d_name[0] != '.') {
            (void)snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
            replay(child);
        }
    }
    (void)closedir(folder);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        replay(argv[i]);
    }
    (void)printf("%u inputs replayed\n", replayed);
    return replayed == 0;
}
