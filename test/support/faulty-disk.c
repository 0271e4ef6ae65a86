/*
 * A disk that misbehaves on command, as a library to preload: while the control file exists, calls on files below the
 * folder do what its first word says. Calls wait in the thread that makes them, as they do on a real disk.
 *
 *   stall-sync   fsync and fdatasync do not return; a write to a file that was opened with O_DSYNC counts as one of them
 *   stall-all    nor do writes, and opens that make files
 *   fail-sync    the next of those fails with EIO and the control file is gone: what was dirty is lost to the
 *                caller, and a second try would succeed, as in Linux
 *   full         writes, and opens that make files, fail with ENOSPC
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum trouble { NONE, STALL_SYNC, STALL_ALL, FAIL_SYNC, FULL };

static const char *folder;
static const char *control;
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_open)(const char *, int, ...);

__attribute__((constructor)) static void start(void) {
  folder = getenv("FAULTY_DISK_FOLDER");
  control = getenv("FAULTY_DISK_CONTROL");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_open = dlsym(RTLD_NEXT, "open64");
}

static enum trouble trouble_now(void) {
  if (control == NULL || access(control, F_OK) != 0) return NONE;
  int fd = real_open(control, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NONE;
  char word[16];
  ssize_t length = read(fd, word, sizeof word - 1);
  close(fd);
  if (length <= 0) return NONE;
  word[length] = '\0';
  if (strcmp(word, "stall-sync") == 0) return STALL_SYNC;
  if (strcmp(word, "stall-all") == 0) return STALL_ALL;
  if (strcmp(word, "fail-sync") == 0) return FAIL_SYNC;
  if (strcmp(word, "full") == 0) return FULL;
  return NONE;
}

static int below(const char *path) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && path[length] == '/';
}

static int is_ours(int fd) {
  char link[32];
  char path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = '\0';
  return below(path);
}

static void wait_while(enum trouble first, enum trouble second) {
  const struct timespec turn = { 0, 2000000 };
  for (;;) {
    enum trouble now = trouble_now();
    if (now != first && now != second) return;
    nanosleep(&turn, NULL);
  }
}

/* Waits, or says with which error a change of a file fails; 0 when it does not. */
static int change(void) {
  wait_while(STALL_ALL, STALL_ALL);
  return trouble_now() == FULL ? ENOSPC : 0;
}

static int sync_error(int fd) {
  if (trouble_now() == NONE || !is_ours(fd)) return 0;
  wait_while(STALL_SYNC, STALL_ALL);
  /* Whoever removes the control file is the one that fails. */
  return trouble_now() == FAIL_SYNC && unlink(control) == 0 ? EIO : 0;
}

static int write_error(int fd) {
  if (trouble_now() == NONE || !is_ours(fd)) return 0;
  int code = change();
  return code == 0 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0 ? sync_error(fd) : code;
}

static int open_error(const char *path, int flags) {
  return (flags & O_CREAT) != 0 && trouble_now() != NONE && below(path) ? change() : 0;
}

#define OR_FAIL(error, call)          \
  do {                                \
    int code = (error);               \
    if (code == 0) return (call);     \
    errno = code;                     \
    return -1;                        \
  } while (0)

int fsync(int fd) { OR_FAIL(sync_error(fd), real_fsync(fd)); }
int fdatasync(int fd) { OR_FAIL(sync_error(fd), real_fdatasync(fd)); }
ssize_t write(int fd, const void *bytes, size_t size) { OR_FAIL(write_error(fd), real_write(fd, bytes, size)); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
  OR_FAIL(write_error(fd), real_writev(fd, parts, count));
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  OR_FAIL(write_error(fd), real_pwrite(fd, bytes, size, at));
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  OR_FAIL(write_error(fd), real_pwrite(fd, bytes, size, at));
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  OR_FAIL(write_error(fd), real_pwritev(fd, parts, count, at));
}

static mode_t mode_of(int flags, va_list rest) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = mode_of(flags, rest);
  va_end(rest);
  OR_FAIL(open_error(path, flags), real_open(path, flags, mode));
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = mode_of(flags, rest);
  va_end(rest);
  OR_FAIL(open_error(path, flags), real_open(path, flags, mode));
}
