/* Writes down, in order, what a process does to the files in one folder (LD_PRELOAD).
 *
 * FAULTS_FOLDER is the folder, without links in its path; FAULTS_JOURNAL is the file of records, and lies
 * elsewhere. A record is made once its call has succeeded, under a lock, so that their order is the order
 * of what happened. Covered: what SQLite and os.write use on Linux. Not covered: dup, writev, openat
 * relative to an open directory, files opened before the library was there; 32-bit machines.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES 4096
#define EXPORTED __attribute__((visibility("default")))

struct record { /* little-endian, as disk.py reads it */
    uint32_t kind;
    uint32_t name_bytes;
    uint64_t offset;
    uint64_t data_bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_bytes;
static int journal = -1;
static char *names[FILES]; /* of open files in the folder; "" is the folder itself */

__attribute__((constructor)) static void start(void)
{
    const char *place = getenv("FAULTS_FOLDER"), *file = getenv("FAULTS_JOURNAL");
    if (!place || !file)
        return;
    folder_bytes = (size_t)snprintf(folder, sizeof folder, "%s", place);
    journal = (int)syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* The name below the folder, "" for the folder itself, or NULL. */
static const char *name_of(const char *path)
{
    if (journal < 0 || strncmp(path, folder, folder_bytes) != 0)
        return NULL;
    if (path[folder_bytes] == '/')
        return path + folder_bytes + 1;
    return path[folder_bytes] ? NULL : "";
}

static const char *open_name(int fd)
{
    return fd >= 0 && fd < FILES ? names[fd] : NULL;
}

static void put(const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count > 0) {
        ssize_t done = syscall(SYS_write, journal, at, count);
        if (done <= 0)
            abort(); /* a journal with a hole would prove nothing */
        at += done;
        count -= (size_t)done;
    }
}

static void note(char kind, const char *name, uint64_t offset, const void *data, size_t data_bytes)
{
    struct record head = {(uint32_t)kind, (uint32_t)strlen(name), offset, data_bytes};
    put(&head, sizeof head);
    put(name, head.name_bytes);
    put(data, data_bytes);
}

static int do_open(const char *path, int flags, mode_t mode)
{
    const char *name = name_of(path);
    struct stat before;
    pthread_mutex_lock(&lock);
    int is_new = name && (flags & O_CREAT) && stat(path, &before) != 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (name && fd >= 0 && fd < FILES) {
        names[fd] = strdup(name);
        if (is_new)
            note('c', name, 0, "", 0);
        else if (flags & O_TRUNC)
            note('t', name, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

EXPORTED int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return do_open(path, flags, mode);
}

EXPORTED int open64(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return do_open(path, flags | O_LARGEFILE, mode);
}

EXPORTED int close(int fd)
{
    pthread_mutex_lock(&lock);
    if (open_name(fd)) {
        free(names[fd]);
        names[fd] = NULL;
    }
    int result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORTED ssize_t write(int fd, const void *data, size_t count)
{
    if (!open_name(fd))
        return syscall(SYS_write, fd, data, count);
    pthread_mutex_lock(&lock);
    int appends = (fcntl(fd, F_GETFL) & O_APPEND) != 0;
    off_t offset = lseek(fd, 0, appends ? SEEK_END : SEEK_CUR);
    ssize_t done = syscall(SYS_write, fd, data, count);
    if (done > 0)
        note('w', names[fd], (uint64_t)offset, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

EXPORTED ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset)
{
    if (!open_name(fd))
        return syscall(SYS_pwrite64, fd, data, count, offset);
    pthread_mutex_lock(&lock);
    ssize_t done = syscall(SYS_pwrite64, fd, data, count, offset);
    if (done > 0)
        note('w', names[fd], (uint64_t)offset, data, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

EXPORTED ssize_t pwrite(int fd, const void *data, size_t count, off_t offset)
{
    return pwrite64(fd, data, count, offset);
}

EXPORTED int ftruncate64(int fd, off64_t length)
{
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0 && open_name(fd))
        note('t', names[fd], (uint64_t)length, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORTED int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

/* One lock for all: nothing is written while a sync runs, so the sync covers all that came before it. */
static int do_sync(long call, int fd)
{
    if (!open_name(fd))
        return (int)syscall(call, fd);
    pthread_mutex_lock(&lock);
    int result = (int)syscall(call, fd);
    if (result == 0)
        note('s', names[fd], 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORTED int fsync(int fd)
{
    return do_sync(SYS_fsync, fd);
}

EXPORTED int fdatasync(int fd)
{
    return do_sync(SYS_fdatasync, fd);
}

EXPORTED int unlink(const char *path)
{
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0 && name_of(path))
        note('u', name_of(path), 0, "", 0);
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORTED int rename(const char *from, const char *to)
{
    pthread_mutex_lock(&lock);
    int result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (result == 0 && name_of(from) && name_of(to))
        note('r', name_of(from), 0, name_of(to), strlen(name_of(to)));
    pthread_mutex_unlock(&lock);
    return result;
}

EXPORTED void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    if (open_name(fd) && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
        pthread_mutex_lock(&lock);
        note('m', names[fd], 0, "", 0);
        pthread_mutex_unlock(&lock);
    }
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

EXPORTED void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap64(address, length, protection, flags, fd, offset);
}
