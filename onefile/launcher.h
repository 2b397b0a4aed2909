/* What the launcher and the part of it that knows Python have in common. */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include <stddef.h>

struct library {
    const char *name;
    const char *start;
    const char *end;
};

/* In the order in which they must be loaded; the last one is core.c; ends with a name of NULL. */
extern const struct library libraries[];

/* More libraries than one program ever loads. */
#define MOST_HELD 256
#define SLASHES_16 "////////////////"
#define SLASHES_64 SLASHES_16 SLASHES_16 SLASHES_16 SLASHES_16
#define SLASHES SLASHES_64 SLASHES_64 SLASHES_64 SLASHES_64
#define HELD_PATH (MOST_HELD + 32)

/* Write a library to a nameless file in memory, and its path to `path`. Return the descriptor,
 * which may be closed when the library is loaded; -1 with errno. */
int hold(const char *name, const void *bytes, size_t size, char path[HELD_PATH]);

#endif
