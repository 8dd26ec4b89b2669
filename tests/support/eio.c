/* Files whose path holds the text of EIO_PATH cannot be read from byte EIO_FROM on: the disk fails there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int fails(int descriptor, off_t end) {
    char link[64], path[4096];
    const char *wanted = getenv("EIO_PATH"), *from = getenv("EIO_FROM");
    if (!wanted || !from || end <= atoll(from)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    struct stat state;
    if (fstat(descriptor, &state) == 0 && state.st_size <= atoll(from)) return 0;
    return strstr(path, wanted) != NULL;
}

static size_t all(const struct iovec *parts, int count) {
    size_t size = 0;
    for (int part = 0; part < count; part++) size += parts[part].iov_len;
    return size;
}

#define OR_FAIL(end, call) return fails(descriptor, end) ? (errno = EIO, -1) : call

ssize_t read(int descriptor, void *buffer, size_t size) {
    ssize_t (*real)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
    OR_FAIL(lseek(descriptor, 0, SEEK_CUR) + (off_t)size, real(descriptor, buffer, size));
}

ssize_t pread(int descriptor, void *buffer, size_t size, off_t offset) {
    ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread");
    OR_FAIL(offset + (off_t)size, real(descriptor, buffer, size, offset));
}

ssize_t pread64(int descriptor, void *buffer, size_t size, off_t offset) {
    ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, "pread64");
    OR_FAIL(offset + (off_t)size, real(descriptor, buffer, size, offset));
}

ssize_t preadv(int descriptor, const struct iovec *parts, int count, off_t offset) {
    ssize_t (*real)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, "preadv");
    OR_FAIL(offset + (off_t)all(parts, count), real(descriptor, parts, count, offset));
}

ssize_t preadv64(int descriptor, const struct iovec *parts, int count, off_t offset) {
    ssize_t (*real)(int, const struct iovec *, int, off_t) = dlsym(RTLD_NEXT, "preadv64");
    OR_FAIL(offset + (off_t)all(parts, count), real(descriptor, parts, count, offset));
}

ssize_t preadv2(int descriptor, const struct iovec *parts, int count, off_t offset, int flags) {
    ssize_t (*real)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "preadv2");
    OR_FAIL(offset + (off_t)all(parts, count), real(descriptor, parts, count, offset, flags));
}

ssize_t preadv64v2(int descriptor, const struct iovec *parts, int count, off_t offset, int flags) {
    ssize_t (*real)(int, const struct iovec *, int, off_t, int) = dlsym(RTLD_NEXT, "preadv64v2");
    OR_FAIL(offset + (off_t)all(parts, count), real(descriptor, parts, count, offset, flags));
}
