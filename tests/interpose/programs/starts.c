/* Every way to start a program; argv[1] says which. The program started prints its environment's HASHMAKE_STEP. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
#define IS(name) (strcmp(how, name) == 0)

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "", *file = argc > 2 ? argv[2] : "/bin/cat";
    char *words[] = {"cat", "input", NULL}, *none[] = {"LANG=C", NULL};
    pid_t pid = -1;
    int status = 0;
    if (IS("execv")) execv(file, words);
    if (IS("execve")) execve(file, words, none);
    if (IS("execvp")) execvp("cat", words);
    if (IS("execvpe")) execvpe("cat", words, none);
    if (IS("execl")) execl(file, "cat", "input", (char *)NULL);
    if (IS("execlp")) execlp("cat", "cat", "input", (char *)NULL);
    if (IS("execle")) execle(file, "cat", "input", (char *)NULL, none);
    if (IS("fexecve")) fexecve(open(file, O_RDONLY), words, none);
    if (IS("execveat")) execveat(AT_FDCWD, file, words, none, 0);
    if (IS("clearenv")) clearenv(), execv(file, words);
    if (IS("fork") && !(pid = fork())) execv(file, words), _exit(9);
    if (IS("vfork") && !(pid = vfork())) execve(file, words, none), _exit(9);
    if (IS("vforkdir") && !(pid = vfork())) _exit(chdir("elsewhere") || execve(file, words, none));
    if (IS("spawn") && posix_spawn(&pid, file, NULL, NULL, words, none)) return 8;
    if (IS("spawnp") && posix_spawnp(&pid, "cat", NULL, NULL, words, none)) return 8;
    if (IS("system")) return system("cat input") != 0;
    if (IS("popen")) return pclose(popen("cat input", "r")) == -1;
    if (IS("absent")) {
        execv("./nothing", words);
        execvp("no-such-program-anywhere", words);
        return posix_spawn(&pid, "./nothing", NULL, NULL, words, none) == 0;
    }
    if (pid > 0) waitpid(pid, &status, 0);
    if (IS("vforkdir")) close(open("after", O_RDONLY));
    return pid > 0 ? WEXITSTATUS(status) : 7;
}
