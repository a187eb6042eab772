/* The floor: the kernel work of one sealed container and nothing around it. A small static program that makes every
 * namespace, an overlay of LOWER with an upper directory on the disk, Docker's mounts and masks, the cgroups, drops
 * the capabilities, loads a filter, executes a program of LOWER, waits, and takes everything down again. `cargo xtask
 * bench` divides Bulkhead's times by this program's.
 *
 *   floor run  LOWER WORKDIR PROGRAM [ARG ...]
 *   floor exec PID PROGRAM [ARG ...]        bare setns and exec
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEED(call) do { if ((call) < 0) { perror(#call); _exit(125); } } while (0)
#define BASE 1610612736u

static const char *hierarchies[] = {"memory", "pids", "cpu", "cpuacct", "cpuset", "devices", "freezer", "blkio"};
enum { HIERARCHIES = sizeof hierarchies / sizeof *hierarchies };

static void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t ignored = write(fd, text, strlen(text));
    (void)ignored;
    close(fd);
}

/* A filter of as many instructions as an optimised default profile has: a binary search would be shorter to run, but
 * what counts for a start is checking and translating it. */
static void load_filter(void) {
    enum { COUNT = 360 };
    static struct sock_filter program[COUNT + 5];
    unsigned n = 0;
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; n < COUNT; i++) {
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1000 + i, 0, 1);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {.len = (unsigned short)n, .filter = program};
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    NEED(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter));
}

static void drop_capabilities(void) {
    const unsigned keep = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 10;
    for (int cap = 0; cap <= 40; cap++)
        if (cap > 31 || !(keep >> cap & 1)) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{keep, keep, 0}, {0, 0, 0}};
    NEED(syscall(SYS_capset, &header, data));
}

static void device(const char *name) {
    char from[64], to[64];
    snprintf(from, sizeof from, "/old/dev/%s", name);
    snprintf(to, sizeof to, "/dev/%s", name);
    close(open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    NEED(mount(from, to, NULL, MS_BIND, NULL));
}

static const char *masked[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts", "/proc/kallsyms",
    "/proc/modules", "/proc/kmsg", "/proc/slabinfo", "/proc/vmallocinfo", "/proc/pagetypeinfo", "/proc/softirqs",
    "/proc/iomem", "/proc/ioports", "/proc/config.gz", "/proc/sysrq-trigger"};
static const char *masked_dirs[] = {"/proc/acpi", "/proc/scsi", "/sys/firmware", "/sys/module", "/sys/kernel/debug",
    "/sys/kernel/tracing", "/sys/kernel/security", "/sys/fs/bpf"};
static const char *read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"};

static void build_root(const char *work) {
    char path[256];
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    snprintf(path, sizeof path, "%s/merged", work);
    /* What came with the namespace is locked; a bind of it is ours to pivot to. */
    NEED(mount(path, path, NULL, MS_BIND | MS_REC, NULL));
    NEED(chdir(path));
    mkdir("old", 0700);
    NEED(syscall(SYS_pivot_root, ".", "old"));
    NEED(chdir("/"));
    NEED(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    NEED(mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
    mkdir("/dev/pts", 0755); mkdir("/dev/shm", 01777); mkdir("/dev/mqueue", 0755);
    NEED(mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"));
    NEED(mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k"));
    NEED(mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    NEED(mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL));
    NEED(mount("tmpfs", "/sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755"));
    device("null"); device("zero"); device("full"); device("random"); device("urandom"); device("tty");
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) mount("/dev/null", masked[i], NULL, MS_BIND, NULL);
    for (size_t i = 0; i < sizeof masked_dirs / sizeof *masked_dirs; i++)
        mount("tmpfs", masked_dirs[i], "tmpfs", MS_RDONLY, "size=0k");
    for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++) {
        mount(read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL);
        mount(NULL, read_only[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    }
    NEED(umount2("/old", MNT_DETACH));
    rmdir("/old");
}

static int child(int ready, const char *work, int *tasks, char **argv) {
    char go;
    if (read(ready, &go, 1) != 1) _exit(125);
    for (int i = 0; i < HIERARCHIES; i++)
        if (tasks[i] >= 0 && write(tasks[i], "0", 1) < 0) _exit(125);
    NEED(unshare(CLONE_NEWCGROUP));
    NEED(syscall(SYS_setresgid, 0, 0, 0));
    NEED(syscall(SYS_setresuid, 0, 0, 0));
    build_root(work);
    NEED(sethostname("floor", 5));
    drop_capabilities();
    NEED(syscall(SYS_close_range, 3, ~0u, 0));
    load_filter();
    char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    execvpe(argv[0], argv, env);
    _exit(127);
}

static void make_cgroups(int *tasks) {
    char pid_dir[300];
    for (int i = 0; i < HIERARCHIES; i++) {
        snprintf(pid_dir, sizeof pid_dir, "/sys/fs/cgroup/%s/floor-%d", hierarchies[i], getpid());
        tasks[i] = -1;
        if (mkdir(pid_dir, 0755) < 0) continue;
        char file[360];
        if (i == 0) { snprintf(file, sizeof file, "%s/memory.limit_in_bytes", pid_dir); put(file, "8589934592"); }
        if (i == 1) { snprintf(file, sizeof file, "%s/pids.max", pid_dir); put(file, "4096"); }
        if (i == 4) {
            snprintf(file, sizeof file, "%s/cpuset.cpus", pid_dir); put(file, "0-1");
            snprintf(file, sizeof file, "%s/cpuset.mems", pid_dir); put(file, "0");
        }
        if (i == 5) {
            snprintf(file, sizeof file, "%s/devices.deny", pid_dir); put(file, "a");
            snprintf(file, sizeof file, "%s/devices.allow", pid_dir);
            const char *rules[] = {"c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
                "c 5:2 rwm", "c 136:* rwm"};
            for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) put(file, rules[r]);
        }
        snprintf(file, sizeof file, "%s/tasks", pid_dir);
        tasks[i] = open(file, O_WRONLY | O_CLOEXEC);
    }
}

static void remove_cgroups(void) {
    char path[300];
    for (int i = 0; i < HIERARCHIES; i++) {
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s/floor-%d", hierarchies[i], getpid());
        for (int tries = 0; rmdir(path) < 0 && errno == EBUSY && tries < 1000; tries++) usleep(100);
    }
}

static int run(const char *lower, const char *work, char **argv) {
    char up[256], wk[256], merged[256], options[1024];
    mkdir(work, 0755);
    snprintf(up, sizeof up, "%s/up", work); mkdir(up, 0755); NEED(chown(up, BASE, BASE));
    snprintf(wk, sizeof wk, "%s/work", work); mkdir(wk, 0755);
    snprintf(merged, sizeof merged, "%s/merged", work); mkdir(merged, 0755);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, up, wk);
    NEED(unshare(CLONE_NEWNS));
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    NEED(mount("overlay", merged, "overlay", 0, options));
    int tasks[HIERARCHIES], ready[2];
    make_cgroups(tasks);
    NEED(pipe2(ready, O_CLOEXEC));
    struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
            CLONE_NEWUTS, .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
    NEED(pid);
    if (pid == 0) return child(ready[0], work, tasks, argv);
    char path[64], map[64];
    snprintf(map, sizeof map, "0 %u 65536", BASE);
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid); put(path, map);
    snprintf(path, sizeof path, "/proc/%d/gid_map", pid); put(path, map);
    if (write(ready[1], "g", 1) != 1) return 125;
    int status;
    NEED(waitpid(pid, &status, 0));
    remove_cgroups();
    umount2(merged, MNT_DETACH);
    char inner[300];
    snprintf(inner, sizeof inner, "%s/work", wk);
    rmdir(inner); rmdir(wk); rmdir(merged);
    snprintf(inner, sizeof inner, "%s/old", up); rmdir(inner);
    rmdir(up); rmdir(work);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int enter(const char *pid, char **argv) {
    int handle = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
    NEED(handle);
    NEED(setns(handle, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
            CLONE_NEWCGROUP));
    pid_t child_pid = fork();
    NEED(child_pid);
    if (child_pid == 0) {
        NEED(syscall(SYS_setresgid, 0, 0, 0));
        NEED(syscall(SYS_setresuid, 0, 0, 0));
        drop_capabilities();
        load_filter();
        char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
        execvpe(argv[0], argv, env);
        _exit(127);
    }
    int status;
    NEED(waitpid(child_pid, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv) {
    if (argc >= 5 && !strcmp(argv[1], "run")) return run(argv[2], argv[3], argv + 4);
    if (argc >= 4 && !strcmp(argv[1], "exec")) return enter(argv[2], argv + 3);
    fprintf(stderr, "usage: floor run LOWER WORKDIR PROGRAM [ARG ...] | floor exec PID PROGRAM [ARG ...]\n");
    return 125;
}
