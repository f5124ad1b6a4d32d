#include "store/redis_command.h"

#include "base/alloc.h"
#include "base/check.h"

enum { ARGS_ON_STACK = 32 };

wl_redis_command_t *wl_redis_command_new(wl_redis_purpose_t purpose, const wl_redis_arg_t *args,
                                         uint32_t arg_count, int64_t late_at) {
    const char *some_at[ARGS_ON_STACK];
    size_t some_bytes[ARGS_ON_STACK];
    const char **at = some_at;
    size_t *bytes = some_bytes;
    WL_ASSERT(arg_count > 0 && arg_count < INT32_MAX);
    if (arg_count > ARGS_ON_STACK) {
        at = wl_alloc_zero(arg_count, sizeof *at);
        bytes = wl_alloc_zero(arg_count, sizeof *bytes);
    }
    for (uint32_t i = 0; i < arg_count; i++) {
        at[i] = args[i].bytes == 0 ? "" : args[i].at;
        bytes[i] = args[i].bytes;
    }
    wl_redis_command_t *self = wl_alloc_zero(1, sizeof *self);
    int count = redisFormatCommandArgv(&self->bytes, (int)arg_count, at, bytes);
    WL_ASSERT(count > 0); /* only memory can be missing */
    self->byte_count = (size_t)count;
    self->purpose = purpose;
    self->late_at = late_at;
    self->slot = WL_REDIS_ANY_SLOT;
    if (at != some_at) {
        wl_free(at);
        wl_free(bytes);
    }
    return self;
}

void wl_redis_command_forget_bytes(wl_redis_command_t *self) {
    redisFreeCommand(self->bytes);
    self->bytes = NULL;
}

void wl_redis_command_destroy(wl_redis_command_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_redis_command_forget_bytes(*self);
    wl_free(*self);
    *self = NULL;
}

void wl_redis_commands_push(wl_redis_commands_t *self, wl_redis_command_t *command) {
    command->next = NULL;
    if (self->first == NULL) {
        self->first = command;
    } else {
        self->last->next = command;
    }
    self->last = command;
}

wl_redis_command_t *wl_redis_commands_pop(wl_redis_commands_t *self) {
    wl_redis_command_t *command = self->first;
    if (command != NULL) {
        self->first = command->next;
        command->next = NULL;
    }
    return command;
}
