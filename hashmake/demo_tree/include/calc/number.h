#ifndef CALC_NUMBER_H
#define CALC_NUMBER_H
typedef long number;
#endif
