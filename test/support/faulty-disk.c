/*
 * A disk that misbehaves on command, as a library to preload: while the control file exists, calls on files below the
 * folder do what its first word says. Calls wait in the thread that makes them, as they do on a real disk.
 *
 *   stall-sync   fsync and fdatasync do not return; a write to a file that was opened with O_DSYNC counts as one of them
 *   stall-all    nor do writes, and opens that make files
 *   fail-sync    the next of those fails with EIO and the control file is gone: what was dirty is lost to the
 *                caller, and a second try would succeed, as in Linux
 *   full         writes, and opens that make files, fail with ENOSPC
 *
 * All the time, the folder FAULTY_DISK_UNDO holds what a loss of power would undo, by the inode of a file. `INODE`: its
 * length when it was synced last (u64), and what was overwritten since (offset u64, length u64, bytes; the oldest first);
 * without it, all of the file is durable. `INODE.entry` exists while the file is new, and neither it nor its folder was
 * synced (ext4, XFS and Btrfs keep the name of a new file that was synced; POSIX does not promise it).
 * Renames count as durable at once, and so does what is removed. What goes through stdio is seen when it is opened and
 * synced, not when it is written: it must only append.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
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
static const char *undo;
static pthread_mutex_t undoing = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_open)(const char *, int, ...);
static FILE *(*real_fopen)(const char *, const char *);
static int (*real_rename)(const char *, const char *);

__attribute__((constructor)) static void start(void) {
  folder = getenv("FAULTY_DISK_FOLDER");
  control = getenv("FAULTY_DISK_CONTROL");
  undo = getenv("FAULTY_DISK_UNDO");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_writev = dlsym(RTLD_NEXT, "writev");
  real_pwritev = dlsym(RTLD_NEXT, "pwritev64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
  real_open = dlsym(RTLD_NEXT, "open64");
  real_fopen = dlsym(RTLD_NEXT, "fopen64");
  real_rename = dlsym(RTLD_NEXT, "rename");
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

/* A defect of this library must not look like one of the process. */
static void must(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "faulty-disk: %s: %s\n", what, strerror(errno));
  abort();
}

static void undo_path(char *path, ino_t inode, const char *suffix) {
  snprintf(path, PATH_MAX, "%s/%llu%s", undo, (unsigned long long)inode, suffix);
}

static void forget(ino_t inode, const char *suffix) {
  char path[PATH_MAX];
  undo_path(path, inode, suffix);
  must(unlink(path) == 0 || errno == ENOENT, "forget");
}

static void put(int record, const void *bytes, size_t size) {
  must(real_write(record, bytes, size) == (ssize_t)size, "put");
}

/* Opens what is known of a file, which was durable up to its end until now when nothing is. */
static int open_record(const struct stat *file) {
  char path[PATH_MAX];
  undo_path(path, file->st_ino, "");
  int record = real_open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  must(record >= 0, path);
  uint64_t durable = (uint64_t)file->st_size;
  char first;
  if (pread(record, &first, 1, 0) == 0) put(record, &durable, sizeof durable);
  return record;
}

/* Keeps what a write of `size` bytes at `at` takes away from what is durable; at < 0: where the descriptor stands. */
static void remember(int fd, off_t at, size_t size) {
  struct stat file;
  must(fstat(fd, &file) == 0, "remember");
  if (!S_ISREG(file.st_mode)) return;
  if (at < 0) at = (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? file.st_size : lseek(fd, 0, SEEK_CUR);
  int record = open_record(&file);
  uint64_t durable;
  must(pread(record, &durable, sizeof durable, 0) == sizeof durable, "remember");
  if ((uint64_t)at < durable) {
    uint64_t kept[2] = { (uint64_t)at, size < durable - (uint64_t)at ? size : durable - (uint64_t)at };
    char *bytes = malloc(kept[1]);
    /* The descriptor may be one that only writes. */
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    int source = real_open(self, O_RDONLY | O_CLOEXEC);
    must(bytes != NULL && source >= 0, "remember");
    must(pread(source, bytes, kept[1], at) == (ssize_t)kept[1], "remember");
    put(record, kept, sizeof kept);
    put(record, bytes, kept[1]);
    close(source);
    free(bytes);
  }
  close(record);
}

/* What was written to the file, or the names in the folder, are durable. */
static void settle(int fd) {
  struct stat file;
  must(fstat(fd, &file) == 0, "settle");
  if (!S_ISDIR(file.st_mode)) {
    forget(file.st_ino, ".entry");
    forget(file.st_ino, "");
    close(open_record(&file));
    return;
  }
  char self[32];
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  DIR *entries = opendir(self);
  must(entries != NULL, "settle");
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) forget(entry->d_ino, ".entry");
  closedir(entries);
}

static void before_write(int fd, off_t at, size_t size) {
  if (undo == NULL || !is_ours(fd)) return;
  pthread_mutex_lock(&undoing);
  remember(fd, at, size);
  pthread_mutex_unlock(&undoing);
}

static void after_sync(int fd) {
  if (undo == NULL || !is_ours(fd)) return;
  pthread_mutex_lock(&undoing);
  settle(fd);
  pthread_mutex_unlock(&undoing);
}

static size_t size_of(const struct iovec *parts, int count) {
  size_t size = 0;
  for (int part = 0; part < count; part += 1) size += parts[part].iov_len;
  return size;
}

#define FAIL_IF(error)      \
  do {                      \
    int code = (error);     \
    if (code == 0) break;   \
    errno = code;           \
    return -1;              \
  } while (0)

#define SYNC(fd, call)                 \
  do {                                 \
    FAIL_IF(sync_error(fd));           \
    int result = (call);               \
    if (result == 0) after_sync(fd);   \
    return result;                     \
  } while (0)

#define WRITE(fd, at, size, call)                                                   \
  do {                                                                              \
    FAIL_IF(write_error(fd));                                                       \
    before_write(fd, at, size);                                                     \
    ssize_t written = (call);                                                       \
    if (written >= 0 && (fcntl(fd, F_GETFL) & O_DSYNC) != 0) after_sync(fd);        \
    return written;                                                                 \
  } while (0)

int fsync(int fd) { SYNC(fd, real_fsync(fd)); }
int fdatasync(int fd) { SYNC(fd, real_fdatasync(fd)); }
ssize_t write(int fd, const void *bytes, size_t size) { WRITE(fd, -1, size, real_write(fd, bytes, size)); }
ssize_t writev(int fd, const struct iovec *parts, int count) {
  WRITE(fd, -1, size_of(parts, count), real_writev(fd, parts, count));
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
  WRITE(fd, at, size, real_pwrite(fd, bytes, size, at));
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  WRITE(fd, at, size, real_pwrite(fd, bytes, size, at));
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  WRITE(fd, at, size_of(parts, count), real_pwritev(fd, parts, count, at));
}

/* A file was made; its inode may have been that of another one. */
static void begin(int fd) {
  struct stat file;
  must(fstat(fd, &file) == 0, "begin");
  char entry[PATH_MAX];
  undo_path(entry, file.st_ino, ".entry");
  pthread_mutex_lock(&undoing);
  forget(file.st_ino, "");
  close(open_record(&file));
  int mark = real_open(entry, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  must(mark >= 0, entry);
  close(mark);
  pthread_mutex_unlock(&undoing);
}

static int is_missing(const char *path) {
  return undo != NULL && below(path) && access(path, F_OK) != 0;
}

static int open_file(const char *path, int flags, mode_t mode) {
  FAIL_IF(open_error(path, flags));
  int makes = (flags & O_CREAT) != 0 && is_missing(path);
  int fd = real_open(path, flags, mode);
  if (makes && fd >= 0) begin(fd);
  return fd;
}

FILE *fopen64(const char *path, const char *mode) {
  int makes = mode[0] != 'r' && is_missing(path);
  FILE *stream = real_fopen(path, mode);
  if (makes && stream != NULL) begin(fileno(stream));
  return stream;
}

FILE *fopen(const char *path, const char *mode) { return fopen64(path, mode); }

/* Renames count as durable: the entry of the name that was new is not undone. */
int rename(const char *from, const char *to) {
  struct stat file;
  int known = undo != NULL && below(to) && stat(from, &file) == 0;
  int result = real_rename(from, to);
  if (known && result == 0) forget(file.st_ino, ".entry");
  return result;
}

static mode_t mode_of(int flags, va_list rest) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = mode_of(flags, rest);
  va_end(rest);
  return open_file(path, flags, mode);
}
