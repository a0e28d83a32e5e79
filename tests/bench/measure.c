/* measure OUT COMMAND...: runs COMMAND and writes "wall user system peak-KiB status faults" (seconds; faults are
 * pages that were made present without reading a disk) to OUT.
 *
 * A program of its own because the kernel counts the memory of whoever starts a process into that process's peak:
 * started from here the floor is this program's own, below 2 MiB. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

int main(int count, char **arguments) {
    struct timespec began, ended;
    struct rusage used;
    int status;
    if (count < 3) return 2;
    clock_gettime(CLOCK_MONOTONIC, &began);
    pid_t child = fork();
    if (child == 0) {
        execv(arguments[2], arguments + 2);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &used) != child) return 2;
    clock_gettime(CLOCK_MONOTONIC, &ended);
    FILE *out = fopen(arguments[1], "w");
    if (!out) return 2;
    fprintf(out, "%.6f %.6f %.6f %ld %d %ld\n", ended.tv_sec - began.tv_sec + (ended.tv_nsec - began.tv_nsec) / 1e9,
            seconds(used.ru_utime), seconds(used.ru_stime), used.ru_maxrss,
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), used.ru_minflt);
    return fclose(out) ? 2 : 0;
}
