/* Everything that takes a path, on the smallest stack that a thread may have. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void *work(void *arg)
{
    struct stat st;
    (void)arg;
    close(open("made", O_CREAT | O_WRONLY, 0644));
    symlink(".", "l");
    symlink("l/l", "m");
    close(open("m/l/m/l/m/made", O_RDONLY));
    stat("m/m/made", &st);
    rename("m/made", "l/moved");
    link("moved", "m/twin");
    mkdir("d", 0755);
    rename("d", "m/e");
    DIR *dir = opendir("l/.");
    while (readdir(dir))
        ;
    closedir(dir);
    chmod("m/twin", 0600);
    truncate("m/twin", 1);
    access("m/nothing", R_OK);
    chdir("m");
    char *words[] = {"true", NULL};
    pid_t pid;
    posix_spawnp(&pid, "true", NULL, NULL, words, environ);
    waitpid(pid, NULL, 0);
    pid = vfork();
    if (pid == 0) {
        execvp("true", words);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
    unlink("m/twin");
    return NULL;
}

int main(void)
{
    pthread_attr_t small;
    pthread_t thread;
    pthread_attr_init(&small);
    if (pthread_attr_setstacksize(&small, PTHREAD_STACK_MIN)) return 2;
    if (pthread_create(&thread, &small, work, NULL)) return 3;
    pthread_join(thread, NULL);
    return 0;
}
