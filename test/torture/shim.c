/*
 * Loaded into a daemon (LD_PRELOAD) to make its world worse on command: writes and syncs of files below one directory
 * fail, and the wall clock is moved. The commands are in a file of 128 bytes that is mapped, so that they work at once;
 * shim.ts writes them and has the same layout. Without a command everything goes straight to the C library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
  int64_t clock_offset_ns; /* added to the wall clock */
  int32_t error;           /* errno of failing calls, 0 for none */
  int32_t calls;           /* 1: writes fail, 2: syncs fail, 3: both */
  int64_t first_at_ns;     /* monotonic time of the first failure, written here */
  int64_t failures;        /* written here */
  char only[96];           /* part of the paths that fail; empty for all below the directory */
};

static volatile struct control *control;
static const char *directory;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("TORTURE_SHIM_CONTROL");
  directory = getenv("TORTURE_SHIM_DIRECTORY");
  if (path == NULL || directory == NULL) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *memory = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (memory != MAP_FAILED) control = memory;
}

static int fails(int fd, int call) {
  if (control == NULL || control->error == 0 || (control->calls & call) == 0) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  if (strncmp(path, directory, strlen(directory)) != 0) return 0;
  if (control->only[0] != 0 && strstr(path, (const char *)control->only) == NULL) return 0;
  if (__atomic_fetch_add(&control->failures, 1, __ATOMIC_SEQ_CST) == 0) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    control->first_at_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
  }
  errno = control->error;
  return 1;
}

#define NEXT(name) \
  static __typeof__(&name) next; \
  if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define FAILING(type, name, call, parameters, arguments) \
  type name parameters { \
    NEXT(name); \
    return fails(fd, call) ? -1 : next arguments; \
  }

FAILING(ssize_t, write, 1, (int fd, const void *data, size_t size), (fd, data, size))
FAILING(ssize_t, pwrite, 1, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
FAILING(ssize_t, pwrite64, 1, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
FAILING(ssize_t, writev, 1, (int fd, const struct iovec *parts, int count), (fd, parts, count))
FAILING(ssize_t, pwritev, 1, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
FAILING(ssize_t, pwritev64, 1, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
FAILING(int, fsync, 2, (int fd), (fd))
FAILING(int, fdatasync, 2, (int fd), (fd))
FAILING(int, sync_file_range, 2, (int fd, off64_t at, off64_t size, unsigned flags), (fd, at, size, flags))

int clock_gettime(clockid_t clock, struct timespec *time) {
  NEXT(clock_gettime);
  int result = next(clock, time);
  if (result != 0 || control == NULL || control->clock_offset_ns == 0) return result;
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return result;
  int64_t moved = time->tv_sec * 1000000000LL + time->tv_nsec + control->clock_offset_ns;
  time->tv_sec = moved / 1000000000LL;
  time->tv_nsec = moved % 1000000000LL;
  return result;
}

int gettimeofday(struct timeval *time, void *zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}
