/* The program of a single file: it carries a Python, loads it from memory, and becomes it.
 *
 * One process, nothing unpacked: each shared library is written to a file that has no name and
 * exists in memory only (memfd_create(2)), and is loaded from there. What a library needs is
 * found by its SONAME among those that are loaded already, so they come in order.
 */
#define _GNU_SOURCE
#include "launcher.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3: a memory file that may be executed */
#endif

static const char *program;

static void fail(const char *what, const char *library, const char *why, const char *hint)
{
    fprintf(stderr, "%s: cannot %s %s: %s; %s\n", program, what, library, why, hint);
    exit(1);
}

static int write_all(int descriptor, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(descriptor, bytes, size);
        if (written < 0 && errno != EINTR)
            return -1;
        if (written > 0) {
            bytes += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

int hold(const char *name, const void *bytes, size_t size, char path[HELD_PATH])
{
    static unsigned int held;
    int descriptor = memfd_create(name, MFD_CLOEXEC | MFD_EXEC);
    if (descriptor < 0 && errno == EINVAL)
        descriptor = memfd_create(name, MFD_CLOEXEC);
    if (descriptor < 0)
        return -1;
    if (write_all(descriptor, bytes, size) < 0) {
        int error = errno;
        close(descriptor);
        errno = error;
        return -1;
    }
    /* The loader takes a path that it has seen for the same library, and numbers of descriptors
     * come again: a different number of slashes makes each path another. */
    held = (held + 1) % MOST_HELD;
    snprintf(path, HELD_PATH, "/proc/self/fd%.*s%d", (int)held + 1, SLASHES, descriptor);
    return descriptor;
}

static void *load(const struct library *library)
{
    char path[HELD_PATH];
    int descriptor = hold(library->name, library->start, library->end - library->start, path);
    if (descriptor < 0)
        fail("hold in memory", library->name, strerror(errno),
             "memfd_create(2) must be allowed here, and the sysctl vm.memfd_noexec be below 2");
    void *handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (handle == NULL)
        fail("load", library->name, dlerror(),
             "if this is about GLIBC, the system is older than the one this was built on");
    close(descriptor);
    return handle;
}

int main(int argc, char **argv)
{
    void *last = NULL;
    program = argc > 0 ? argv[0] : "stalkd";
    if (access("/proc/self/exe", R_OK) < 0)
        fail("read", "/proc/self/exe", strerror(errno),
             "mount /proc, and let this user read the program");
    for (const struct library *each = libraries; each->name != NULL; each++)
        last = load(each);
    int (*run)(int, char **) = (int (*)(int, char **))dlsym(last, "run");
    if (run == NULL)
        fail("find", "run", dlerror(), "the file is damaged");
    return run(argc, argv);
}
