#include "gateway/eval/sandbox_child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "gateway/eval/sandbox.h"

namespace sluice {
namespace {

constexpr std::size_t folder_bytes_max = 32U << 20U;

[[noreturn]] void give_up(const SandboxChild& child, const char* step) {
    const char* reason = strerrordesc_np(errno);
    for (const char* text : {step, ": ", reason == nullptr ? "unknown error" : reason})
        if (write(child.failed, text, std::strlen(text)) < 0) break;
    _exit(127);
}

void must(const SandboxChild& child, bool done, const char* step) {
    if (!done) give_up(child, step);
}

bool write_whole(const char* path, const char* bytes, std::size_t size, int flags) {
    int file = open(path, flags | O_WRONLY | O_CLOEXEC, 0644);
    if (file < 0) return false;
    bool good = true;
    while (good && size > 0) {
        ssize_t wrote = write(file, bytes, size);
        good = wrote > 0;
        if (!good) break;
        bytes += wrote;
        size -= static_cast<std::size_t>(wrote);
    }
    close(file);
    return good;
}

// A user of no rights: with the program's start every capability is gone.
void become_nobody(const SandboxChild& child) {
    must(child, write_whole("/proc/self/setgroups", "deny", 4, 0), "denying groups");
    must(child, write_whole("/proc/self/uid_map", child.uid_map, std::strlen(child.uid_map), 0),
         "mapping the user");
    must(child, write_whole("/proc/self/gid_map", child.gid_map, std::strlen(child.gid_map), 0),
         "mapping the group");
}

void show_read_only(const SandboxChild& child, const char* from, const char* to) {
    char target[64];
    ssize_t length = readlink(from, target, sizeof target - 1);
    if (length > 0) {  // /bin -> usr/bin
        target[length] = 0;
        must(child, symlink(target, to) == 0, "linking a system folder");
        return;
    }
    if (access(from, F_OK) != 0) return;
    must(child, mkdir(to, 0755) == 0, "making a system folder");
    must(child, mount(from, to, nullptr, MS_BIND | MS_REC, nullptr) == 0, "showing the system");
    mount_attr read_only{};
    read_only.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    must(child, mount_setattr(AT_FDCWD, to, AT_RECURSIVE, &read_only, sizeof read_only) == 0,
         "making the system read-only");
}

void show_device(const SandboxChild& child, const char* from, const char* to) {
    must(child, write_whole(to, "", 0, O_CREAT), "making a device's place");
    must(child, mount(from, to, nullptr, MS_BIND, nullptr) == 0, "showing a device");
}

// /tmp becomes the new root; nothing of the old one can be reached afterwards.
void change_root(const SandboxChild& child) {
    must(child, mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0,
         "parting the mounts");
    char size[64] = "mode=0755,size=33554432";
    static_assert(folder_bytes_max == 33'554'432);
    must(child, mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, size) == 0,
         "mounting an empty folder");
    show_read_only(child, "/usr", "/tmp/usr");
    show_read_only(child, "/bin", "/tmp/bin");
    show_read_only(child, "/lib", "/tmp/lib");
    show_read_only(child, "/lib64", "/tmp/lib64");
    must(child, mkdir("/tmp/dev", 0755) == 0 && mkdir("/tmp/work", 0755) == 0, "making folders");
    show_device(child, "/dev/null", "/tmp/dev/null");
    show_device(child, "/dev/urandom", "/tmp/dev/urandom");
    if (child.file != nullptr)
        must(child, write_whole(child.file, child.content, child.content_bytes, O_CREAT | O_EXCL),
             "writing the program's file");
    must(child, chdir("/tmp") == 0, "entering the folder");
    must(child, syscall(SYS_pivot_root, ".", ".") == 0, "changing the root");
    must(child, umount2(".", MNT_DETACH) == 0, "leaving the old root");
    must(child, chdir("/work") == 0, "entering the folder");
}

void limit(const SandboxChild& child, __rlimit_resource what, rlim_t most) {
    rlimit both{most, most};
    must(child, setrlimit(what, &both) == 0, "setting limits");
}

void set_limits(const SandboxChild& child) {
    limit(child, RLIMIT_CPU, static_cast<rlim_t>(child.cpu_seconds));
    limit(child, RLIMIT_AS, sandbox_memory_max);
    limit(child, RLIMIT_FSIZE, folder_bytes_max);
    limit(child, RLIMIT_NOFILE, 64);
    limit(child, RLIMIT_NPROC, sandbox_processes_max);
    limit(child, RLIMIT_CORE, 0);
}

}  // namespace

void become_program(const SandboxChild& child) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    become_nobody(child);
    change_root(child);
    set_limits(child);
    setsid();
    signal(SIGPIPE, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    must(child, dup2(child.input, 0) == 0 && dup2(child.output, 1) == 1 && dup2(1, 2) == 2,
         "its input and output");
    must(child, close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0, "closing what is ours");
    must(child, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "giving up rights");
    static char path[] = "PATH=/usr/bin:/bin", home[] = "HOME=/work", words[] = "LANG=C.UTF-8";
    static char* environment[] = {path, home, words, nullptr};
    environ = environment;
    execvp(child.command[0], const_cast<char* const*>(child.command));
    give_up(child, "starting the program");
}

}  // namespace sluice
