/* Another library that somebody preloads. */
int other_preload_value = 1;
