/* The raw C client beside ours: reads COUNT registers of each of N connections in turn.
 *
 *   modbus_client PORT CONNECTIONS COUNT SECONDS     prints requests per second, and the
 *   processor time of each in microseconds
 */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    int n = atoi(argv[2]), count = atoi(argv[3]);
    double seconds = atof(argv[4]), sum = 0;
    modbus_t **lines = calloc(n, sizeof *lines);
    uint16_t words[MODBUS_MAX_READ_REGISTERS];
    for (int i = 0; i < n; i++) {
        lines[i] = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
        modbus_set_slave(lines[i], 1 + i % 32);
        if (modbus_connect(lines[i])) { perror("connect"); return 1; }
    }
    long requests = 0;
    double start = now();
    while (now() - start < seconds)
        for (int i = 0; i < n; i++, requests++) {
            if (modbus_read_registers(lines[i], 0, count, words) != count) return 1;
            for (int k = 0; k + 1 < count; k += 2) sum += modbus_get_float_abcd(words + k);
        }
    printf("%f %f\n", requests / (now() - start), 1e6 * clock() / CLOCKS_PER_SEC / requests);
    return sum < -1;  /* keep the compiler from dropping the conversion */
}
