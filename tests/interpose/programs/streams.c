/* Files as stdio streams. */
#define _GNU_SOURCE
#include <stdio.h>

int main(void) {
    FILE *f = fopen("read", "r");
    char line[64];
    if (!f || !fgets(line, sizeof line, f)) return 1;
    f = freopen("again", "r", f);
    fclose(f);
    fclose(fopen64("read64", "r"));
    if (fopen("absent", "r")) return 1;
    fclose(fopen("new", "w"));
    fclose(fopen("newx", "wx"));
    fclose(fopen("append", "a"));
    fclose(fopen("appendnew", "a"));
    fclose(fopen("both", "r+"));
    return 0;
}
