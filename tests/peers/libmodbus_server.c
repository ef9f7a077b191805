/* A Modbus server on libmodbus, steered by a test.
 *
 *   libmodbus_server tcp PORT CONTROL_PORT       units 1 to 32
 *   libmodbus_server rtu DEVICE CONTROL_PORT     unit 1
 *
 * Each unit has 5000 coils, discrete inputs, holding and input registers, all 0; beyond that
 * libmodbus itself answers with exception 02. One line per command on the control port, one
 * line of answer, "ok ..." or "error ...":
 *
 *   set UNIT TABLE ADDRESS VALUE...    TABLE: coil discrete holding input
 *   get UNIT TABLE ADDRESS COUNT
 *   deny UNIT TABLE FROM TO CODE       requests that touch the range get that exception
 *   limit UNIT COUNT CODE              requests for more than COUNT get that exception
 *   delay UNIT MILLISECONDS            answer so much later
 *   late UNIT MILLISECONDS             the next request only
 *   silent UNIT                        never answer; "speak UNIT" ends it
 *   clear                              end all of these, all values 0
 *   log                                "ok UNIT:FUNCTION:ADDRESS:COUNT ..." since the last log
 */
#include <errno.h>
#include <modbus.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UNITS = 33, SIZE = 5000, DENIALS = 64, LOGGED = 2048, LINE = 65536 };

struct denial { int unit, function, from, to, code; };
struct request { int unit, function, address, count; };

static modbus_mapping_t *units[UNITS];
static int silent[UNITS], delay_ms[UNITS], late_ms[UNITS], limit[UNITS], limit_code[UNITS];
static struct denial denials[DENIALS];
static struct request logged[LOGGED];
static int denied, log_length;

static int read_function(const char *table) {
    const char *names[] = {"coil", "discrete", "holding", "input"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(table, names[i])) return i + 1;
    return 0;
}

/* Which table a function code touches, as the code that reads it. */
static int table_of(int function) {
    switch (function) {
    case MODBUS_FC_WRITE_SINGLE_COIL:
    case MODBUS_FC_WRITE_MULTIPLE_COILS: return MODBUS_FC_READ_COILS;
    case MODBUS_FC_WRITE_SINGLE_REGISTER:
    case MODBUS_FC_WRITE_MULTIPLE_REGISTERS:
    case MODBUS_FC_MASK_WRITE_REGISTER: return MODBUS_FC_READ_HOLDING_REGISTERS;
    default: return function;
    }
}

static struct request parsed(const uint8_t *query, int header) {
    struct request r = {query[header - 1], query[header], 0, 1};
    r.address = query[header + 1] << 8 | query[header + 2];
    int many = r.function <= 4 || r.function == 15 || r.function == 16;
    if (many) r.count = query[header + 3] << 8 | query[header + 4];
    return r;
}

static int refusal(const struct request *r) {
    if (limit[r->unit] && r->count > limit[r->unit]) return limit_code[r->unit];
    for (int i = 0; i < denied; i++) {
        const struct denial *d = &denials[i];
        if (d->unit == r->unit && d->function == table_of(r->function) &&
            r->address <= d->to && r->address + r->count > d->from)
            return d->code;
    }
    return 0;
}

static void answer(modbus_t *context, const uint8_t *query, int length) {
    struct request r = parsed(query, modbus_get_header_length(context));
    if (r.unit < 1 || r.unit >= UNITS) return;
    if (log_length < LOGGED) logged[log_length++] = r;
    if (silent[r.unit]) return;
    if (delay_ms[r.unit]) usleep(delay_ms[r.unit] * 1000);
    if (late_ms[r.unit]) usleep(late_ms[r.unit] * 1000);
    late_ms[r.unit] = 0;
    int code = refusal(&r);
    if (code) modbus_reply_exception(context, query, code);
    else modbus_reply(context, query, length, units[r.unit]);
}

static int value_at(int unit, int function, int address) {
    modbus_mapping_t *m = units[unit];
    switch (function) {
    case 1: return m->tab_bits[address];
    case 2: return m->tab_input_bits[address];
    case 3: return m->tab_registers[address];
    default: return m->tab_input_registers[address];
    }
}

static void set_value(int unit, int function, int address, int value) {
    modbus_mapping_t *m = units[unit];
    switch (function) {
    case 1: m->tab_bits[address] = value != 0; break;
    case 2: m->tab_input_bits[address] = value != 0; break;
    case 3: m->tab_registers[address] = value; break;
    default: m->tab_input_registers[address] = value; break;
    }
}

static void clear(void) {
    denied = log_length = 0;
    for (int u = 1; u < UNITS; u++) {
        silent[u] = delay_ms[u] = late_ms[u] = limit[u] = 0;
        for (int function = 1; function <= 4; function++)
            for (int a = 0; a < SIZE; a++) set_value(u, function, a, 0);
    }
}

/* Reads the next number of the line, or -1. */
static int number(char **rest) {
    char *word = strtok_r(NULL, " ", rest);
    return word ? atoi(word) : -1;
}

static int command(char *line, char *out) {
    char *rest, *verb = strtok_r(line, " ", &rest);
    if (!verb) return -1;
    if (!strcmp(verb, "clear")) { clear(); return 0; }
    if (!strcmp(verb, "log")) {
        for (int i = 0; i < log_length; i++)
            out += sprintf(out, " %d:%d:%d:%d", logged[i].unit, logged[i].function,
                           logged[i].address, logged[i].count);
        log_length = 0;
        return 0;
    }
    int unit = number(&rest);
    if (unit < 1 || unit >= UNITS) return -1;
    if (!strcmp(verb, "silent")) { silent[unit] = 1; return 0; }
    if (!strcmp(verb, "speak")) { silent[unit] = 0; return 0; }
    if (!strcmp(verb, "delay")) { delay_ms[unit] = number(&rest); return 0; }
    if (!strcmp(verb, "late")) { late_ms[unit] = number(&rest); return 0; }
    if (!strcmp(verb, "limit")) {
        limit[unit] = number(&rest);
        limit_code[unit] = number(&rest);
        return 0;
    }
    char *table = strtok_r(NULL, " ", &rest);
    int function = table ? read_function(table) : 0;
    int address = number(&rest);
    if (!function || address < 0) return -1;
    if (!strcmp(verb, "deny")) {
        if (denied == DENIALS) return -1;
        int to = number(&rest), code = number(&rest);
        denials[denied++] = (struct denial){unit, function, address, to, code};
        return 0;
    }
    if (!strcmp(verb, "set")) {
        for (char *word; (word = strtok_r(NULL, " ", &rest)); address++) {
            if (address >= SIZE) return -1;
            set_value(unit, function, address, atoi(word));
        }
        return 0;
    }
    if (!strcmp(verb, "get")) {
        for (int left = number(&rest); left > 0 && address < SIZE; left--, address++)
            out += sprintf(out, " %d", value_at(unit, function, address));
        return 0;
    }
    return -1;
}

/* One command per connection: read a line, answer, close. */
static void control(int listener) {
    static char line[LINE], out[LINE];
    int fd = accept(listener, NULL, NULL), length = 0;
    if (fd < 0) return;
    for (int n; length < LINE - 1 && (n = read(fd, line + length, LINE - 1 - length)) > 0;) {
        length += n;
        if (line[length - 1] == '\n') break;
    }
    line[length] = 0;
    line[strcspn(line, "\n")] = 0;
    out[0] = 0;
    int failed = command(line, out);
    dprintf(fd, "%s%s\n", failed ? "error" : "ok", out);
    close(fd);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&here, sizeof here) || listen(fd, 64)) {
        perror("control port");
        exit(1);
    }
    return fd;
}

static void serve(modbus_t *context, int listener, int line, int control_fd) {
    uint8_t query[MODBUS_MAX_ADU_LENGTH];
    fd_set watched, ready;
    FD_ZERO(&watched);
    FD_SET(control_fd, &watched);
    if (listener >= 0) FD_SET(listener, &watched);
    if (line >= 0) FD_SET(line, &watched);
    for (;;) {
        ready = watched;
        if (select(FD_SETSIZE, &ready, NULL, NULL, NULL) < 0) continue;
        int requests = 0; /* a command is carried out after the requests that came before it */
        for (int fd = 0; fd < FD_SETSIZE; fd++) {
            if (!FD_ISSET(fd, &ready) || fd == control_fd) continue;
            requests++;
            if (fd == listener) {
                int accepted = modbus_tcp_accept(context, &listener);
                if (accepted >= FD_SETSIZE) close(accepted);
                else if (accepted >= 0) FD_SET(accepted, &watched);
                continue;
            }
            modbus_set_socket(context, fd);
            int length = modbus_receive(context, query);
            if (length > 0) answer(context, query, length);
            else if (length < 0 && fd != line) { close(fd); FD_CLR(fd, &watched); }
        }
        if (!requests && FD_ISSET(control_fd, &ready)) control(control_fd);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) { fprintf(stderr, "tcp PORT CONTROL_PORT | rtu DEVICE CONTROL_PORT\n"); return 2; }
    for (int u = 1; u < UNITS; u++) units[u] = modbus_mapping_new(SIZE, SIZE, SIZE, SIZE);
    int control_fd = listen_on(atoi(argv[3]));
    if (!strcmp(argv[1], "rtu")) {
        modbus_t *context = modbus_new_rtu(argv[2], 115200, 'N', 8, 1);
        modbus_set_slave(context, 1);
        /* after a broken frame listen anew at the next silence, as a device does */
        modbus_set_byte_timeout(context, 0, 100000);
        modbus_set_response_timeout(context, 0, 100000);
        modbus_set_error_recovery(context, MODBUS_ERROR_RECOVERY_PROTOCOL);
        if (modbus_connect(context)) { perror(argv[2]); return 1; }
        serve(context, -1, modbus_get_socket(context), control_fd);
    }
    modbus_t *context = modbus_new_tcp("127.0.0.1", atoi(argv[2]));
    int listener = modbus_tcp_listen(context, 64);
    if (listener < 0) { perror(argv[2]); return 1; }
    serve(context, listener, -1, control_fd);
    return 0;
}
