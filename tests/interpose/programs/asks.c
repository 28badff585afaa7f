/* What a program may ask about its surroundings. */
#define _GNU_SOURCE
#include <locale.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

int main(void) {
    struct utsname name;
    time_t now = time(NULL);
    getenv("ASKED");
    getenv("ASKED");
    secure_getenv("ASKED_TOO");
    setlocale(LC_ALL, "");
    localtime(&now);
    uname(&name);
    getuid();
    return 0;
}
