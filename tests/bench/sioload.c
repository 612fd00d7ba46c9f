/* sioload - load generator for Socket.IO v4 (Engine.IO 4 over WebSocket), plain WebSockets, lines over TCP and HTTP.
 *
 *   gcc -O2 -Wall -o sioload sioload.c
 *   sioload SCENARIO --port P [options]          one JSON line on stdout, notes on stderr
 *
 * Scenarios
 *   echo     N connections, each keeps K requests in flight; counts the replies.
 *   fanout   N connections, the first S keep K messages in flight (each waits for its own reply before
 *            the next); counts the deliveries on all connections.
 *   connect  C slots open a connection, finish the handshake, close it, and start again.
 *   idle     opens N connections, holds them H seconds, reads the server's RSS (--pid) before and after.
 *
 * Options (defaults in brackets)
 *   --host A [127.0.0.1]  127.0.0.0/8 only       --port P
 *   --path S [/socket.io/?EIO=4&transport=websocket]
 *   --proto sio|raw|lines|http [sio]   raw: WebSocket messages as they are, no Engine.IO / Socket.IO handshake;
 *                           lines: a message is a line over TCP; http: a request is GET of --path, a message is a whole
 *                           response, head and body, and one that is not a 200 is no reply (both: echo and fanout only)
 *   -n N [64]   -k K [1]   -s S senders [1]   -c C concurrent handshakes [32]
 *   -t SECS measured [8]   -w SECS warm-up [1]   --hold SECS (idle) [8]
 *   --size B [64]           length of what %P stands for in a message
 *   --send MSG              request    [sio: 42["action",{"action":"echo","payload":"%P"}]
 *                                       fanout: 42["say",{"message":"%T%P"}]]
 *                           %P payload of --size bytes ("x"), %T timestamp ("@T" and 19 digits)
 *   --reply PAT             what counts as a reply      [42["response"]
 *   --deliver PAT           what counts as a delivery   [42["say"]
 *                           a PAT is a prefix; with a leading '*' a substring
 *   --hello MSG --ready PAT (raw, or after 40{ in sio) send MSG, wait for PAT before the load starts
 *   --pid PID               server process: its CPU share (and RSS in idle) is reported
 *   --srcs M                spread connections over M source addresses 127.0.0.2...  [connect: 200, else 1]
 *   --rate R                open loop: R requests a second in all, each timed from the moment it was due; -k is then the
 *                           most that one connection may have outstanding
 *   --tls                   TLS without looking at the certificate (only when compiled with -DTLS -lssl -lcrypto)
 *   --nocoalesce            one send() per request; by default the requests that answer one read()
 *                           of a connection leave in one send()
 *   --spin                  poll without sleeping: the server's sends then never have to wake this process up
 *   --cpu I                 pin to CPU I            --label S   copied into the output
 *
 * Without --rate the load is closed-loop. After the measured time sending stops and the tail is read: "missing" says how
 * many replies (echo) or deliveries (fanout) never came (expected deliveries = --per-say per message [n-1]).
 * The measured time is cut into windows of 0.5 s. A window in which the hypervisor took more than 4 % of a CPU
 * (steal, /proc/stat) is left out; the run goes on until -t seconds of calm windows are there, at most --stretch
 * [3] times -t. "noisy":1: too few calm windows, all are counted. "steal": CPUs taken, mean of all windows.
 * gen_cpu/srv_cpu: CPU seconds per second (gen_cpu with --spin: time spent on events); per_cpu_s = rate / srv_cpu. "bound":"generator" when gen_cpu >= 0.9
 * and the server had CPU to spare: then the figure is this program's limit, not the server's.
 * Every phase is bounded in time; exit status is 0 only if the run was complete and without errors.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef TLS
#include <openssl/ssl.h>
#endif

typedef uint64_t u64;
enum { ECHO, FANOUT, CONNECT, IDLE };
enum { FREE, TCP, SHAKE, HTTP, OPEN, SIO40, HELLO, READY, CLOSING };          /* connection states */
enum { OPENING, SETTLE, WARMUP, MEASURE, DRAIN, DONE };               /* phases of a run */

struct buf { char *b; size_t n, cap; };
struct pat { const char *s; size_t n; int sub; };
struct frame { char *b; size_t n, hdr; ssize_t ts; };                 /* a masked frame; ts: place of %T's digits */
struct hist { u64 c[64 * 64], n, max; };
struct conn {
    int fd; unsigned char st, sender, pollout, frag, hello;
#ifdef TLS
    SSL *ssl;
#endif
    struct buf rx, tx, msg;                                           /* partial frame, unsent, fragments */
    size_t txoff;
    u64 opened, *sent; unsigned head, out;                            /* ring of K send times */
};

static struct {
    int sc, port, raw, plain, http, n, k, s, c, srcs, nocoalesce, spin, pid, cpu, size, tls; long per_say;
    double t, w, hold, stretch, rate;
    const char *host, *path, *send, *hello, *label, *name; struct pat reply, deliver, ready;
} o = { .host = "127.0.0.1", .path = "/socket.io/?EIO=4&transport=websocket", .n = 64, .k = 1, .s = 1, .c = 32,
        .t = 8, .w = 1, .hold = 8, .stretch = 3, .size = 64, .cpu = -1, .per_say = -1 };

static struct conn *conns;
static struct frame req, hello_f, sio40_f, pong_f, close_f;
static struct hist lat, dlat, wlat, wdlat, lat_all, dlat_all;         /* calm windows; current window; the others */
static struct sockaddr_in peer;
static char rbuf[512 << 10], upgrade[1024];
static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x9d };
static int ep, phase, nready, opening, next_open, dead, src_i;
static u64 errors, replies, deliveries, sent_all, replies_all, deliveries_all, handshakes, close_timeouts;
static u64 due_ns; static unsigned turn_i;                            /* --rate: when the next is due, and whose turn it is */
static u64 now, last_progress, work_ns;                               /* work_ns: spent on events, not on waiting */

static void die(const char *m) { fprintf(stderr, "sioload: %s\n", m); exit(2); }
static u64 clock_ns(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000ull + t.tv_nsec; }
static double rusage_s(void) {
    struct rusage r; getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
static double srv_cpu_s(void) {                                       /* utime + stime of --pid */
    char f[64], b[1024], *p; unsigned long ut = 0, st = 0;
    if (!o.pid) return 0;
    snprintf(f, sizeof f, "/proc/%d/stat", o.pid);
    FILE *h = fopen(f, "r"); if (!h) return 0;
    b[fread(b, 1, sizeof b - 1, h)] = 0; fclose(h);
    if (!(p = strrchr(b, ')'))) return 0;
    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st);
    return (double)(ut + st) / sysconf(_SC_CLK_TCK);
}
static double steal_s(void) {                                         /* CPU time the hypervisor took, all CPUs */
    unsigned long st = 0; FILE *h = fopen("/proc/stat", "r"); if (!h) return 0;
    if (fscanf(h, "cpu %*u %*u %*u %*u %*u %*u %*u %lu", &st) != 1) st = 0;
    fclose(h); return (double)st / sysconf(_SC_CLK_TCK);
}
static long rss_kib(void) {
    char f[64], b[256]; long kib = 0;
    if (!o.pid) return 0;
    snprintf(f, sizeof f, "/proc/%d/status", o.pid);
    FILE *h = fopen(f, "r"); if (!h) return 0;
    while (fgets(b, sizeof b, h)) if (sscanf(b, "VmRSS: %ld", &kib) == 1) break;
    fclose(h); return kib;
}

static void hist_add(struct hist *h, u64 v) {                         /* log-linear, 64 steps per octave (1.6 %) */
    unsigned e = v < 64 ? 0 : 63 - __builtin_clzll(v) - 5;
    unsigned i = e * 64 + (unsigned)(e ? (v >> (e - 1)) & 63 : v);
    h->c[i < 4096 ? i : 4095]++; h->n++; if (v > h->max) h->max = v;
}
static void hist_move(struct hist *to, struct hist *from) {           /* to may be NULL: forget */
    if (to) { for (int i = 0; i < 4096; i++) to->c[i] += from->c[i]; to->n += from->n; if (from->max > to->max) to->max = from->max; }
    memset(from, 0, sizeof *from);
}
static double hist_us(struct hist *h, double q) {
    u64 want = (u64)(h->n * q), sum = 0;
    for (unsigned i = 0; i < 4096; i++)
        if ((sum += h->c[i]) > want) { unsigned e = i / 64; return (e ? (double)((u64)(64 + i % 64) << (e - 1)) : i) / 1e3; }
    return h->max / 1e3;
}

static char *room(struct buf *b, size_t n) {                          /* n more bytes at the end of b */
    if (b->n + n > b->cap) {
        b->cap = b->n + n < 256 ? 256 : (b->n + n) * 2;
        if (!(b->b = realloc(b->b, b->cap))) die("out of memory");
    }
    return b->b + b->n;
}
static int match(const struct pat *p, const char *s, size_t n) {
    if (p->sub) return memmem(s, n, p->s, p->n) != NULL;
    return n >= p->n && !memcmp(s, p->s, p->n);
}
static struct pat pat(const char *s) { int sub = *s == '*'; return (struct pat){ s + sub, strlen(s + sub), sub }; }

static struct frame make_frame(int opcode, const char *tmpl, size_t tn) {   /* expands %P %T, masks once for all */
    size_t n = 0; ssize_t ts = -1;
    char *p = malloc(tn + o.size + 64);
    for (size_t i = 0; i < tn; i++) {
        if (tmpl[i] == '%' && i + 1 < tn && tmpl[i + 1] == 'P') { memset(p + n, 'x', o.size); n += o.size; i++; }
        else if (tmpl[i] == '%' && i + 1 < tn && tmpl[i + 1] == 'T') { memcpy(p + n, "@T", 2); ts = n + 2; memset(p + n + 2, '0', 19); n += 21; i++; }
        else p[n++] = tmpl[i];
    }
    if (o.plain) return (struct frame){ p, n, 0, ts };
    unsigned char *b = malloc(n + 14); size_t h = 0;
    b[h++] = 0x80 | opcode;
    if (n < 126) b[h++] = 0x80 | n;
    else if (n < 65536) { b[h++] = 0x80 | 126; b[h++] = n >> 8; b[h++] = n; }
    else { b[h++] = 0x80 | 127; for (int i = 7; i >= 0; i--) b[h++] = (u64)n >> (8 * i); }
    memcpy(b + h, mask, 4); h += 4;
    for (size_t i = 0; i < n; i++) b[h + i] = p[i] ^ mask[i & 3];
    free(p);
    return (struct frame){ (char *)b, h + n, h, ts };
}

/* send() and recv(), through TLS where it is asked for: -1 with EAGAIN, 0 at the end, as theirs */
#ifdef TLS
static SSL_CTX *tls;
static ssize_t through(SSL *s, int r) {
    if (r > 0) return r;
    int e = SSL_get_error(s, r);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) { errno = EAGAIN; return -1; }
    errno = ECONNRESET; return e == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}
static ssize_t take(struct conn *c, char *b, size_t n) {
    return o.tls ? through(c->ssl, SSL_read(c->ssl, b, n)) : recv(c->fd, b, n, 0);
}
static ssize_t give(struct conn *c, const char *b, size_t n) {
    return o.tls ? through(c->ssl, SSL_write(c->ssl, b, n)) : send(c->fd, b, n, MSG_NOSIGNAL);
}
#else
static ssize_t take(struct conn *c, char *b, size_t n) { return recv(c->fd, b, n, 0); }
static ssize_t give(struct conn *c, const char *b, size_t n) { return send(c->fd, b, n, MSG_NOSIGNAL); }
#endif

static void lost(struct conn *c, int err) {                           /* the connection is gone */
    if (c->st == FREE) return;
#ifdef TLS
    if (c->ssl) { SSL_free(c->ssl); c->ssl = NULL; }
#endif
    if (c->st < READY) opening--;
    if (c->st == READY) { nready--; dead++; }
    if (err) errors++;
    close(c->fd); c->st = FREE; c->rx.n = c->tx.n = c->msg.n = c->txoff = 0; c->pollout = 0; c->out = c->head = 0;
}
static void poll_for(struct conn *c, int out) {
    struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.u32 = c - conns };
    c->pollout = out; epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static void flush(struct conn *c) {
    while (c->st != FREE && c->txoff < c->tx.n) {
        ssize_t r = give(c, c->tx.b + c->txoff, c->tx.n - c->txoff);
        if (r < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN) { if (!c->pollout) poll_for(c, 1); return; }
            lost(c, c->st != CLOSING); return;
        }
        c->txoff += r;
    }
    c->tx.n = c->txoff = 0;
    if (c->st != FREE && c->pollout) poll_for(c, 0);
}
static void put(struct conn *c, const struct frame *f) {
    char *d = room(&c->tx, f->n);
    memcpy(d, f->b, f->n); c->tx.n += f->n;
    if (f->ts >= 0) {
        u64 v = clock_ns();
        for (int i = 18; i >= 0; i--, v /= 10) { size_t at = f->ts + i; d[f->hdr + at] = ('0' + v % 10) ^ (o.plain ? 0 : mask[at & 3]); }
    }
}
static void request_at(struct conn *c, u64 at) {
    c->sent[(c->head + c->out++) % o.k] = at; sent_all++;
    put(c, &req); if (o.nocoalesce) flush(c);
}

static void request(struct conn *c) { request_at(c, clock_ns()); }
static void paced(void) {                                             /* --rate: send what is due by now */
    int n = o.sc == ECHO ? o.n : o.s;
    for (int tries = 0; due_ns <= now && tries < n; ) {
        struct conn *c = conns + turn_i++ % n;
        if (c->st != READY || c->out >= (unsigned)o.k) { tries++; continue; }
        tries = 0; request_at(c, due_ns); flush(c); due_ns += (u64)(1e9 / o.rate);
    }
}

static void open_conn(struct conn *c) {
    struct sockaddr_in me = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002 + src_i++ % o.srcs) };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) { errors++; dead++; return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    c->fd = fd; c->st = TCP; c->hello = 0; c->opened = clock_ns(); opening++;
    if (bind(fd, (void *)&me, sizeof me) || (connect(fd, (void *)&peer, sizeof peer) && errno != EINPROGRESS)) { lost(c, 1); return; }
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.u32 = c - conns };
    c->pollout = 1; epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}
static void ready(struct conn *c) {
    c->st = READY; opening--; nready++; last_progress = now;
    if (o.sc == CONNECT) {
        if (phase == MEASURE) { handshakes++; hist_add(&wlat, now - c->opened); }
        c->st = CLOSING; nready--; c->opened = now;
        put(c, &close_f); flush(c);
    }
}
static void logged_on(struct conn *c) {                               /* transport handshake is through */
    if (!o.hello && !o.ready.s) { ready(c); return; }
    c->st = HELLO;
    if (o.hello) put(c, &hello_f);
    if (!o.ready.s) ready(c);
}

static void message(struct conn *c, const char *p, size_t n) {        /* one whole text message */
    if (!o.raw && n == 1 && p[0] == '2') { put(c, &pong_f); return; }
    if (o.raw && n > 14 && !memcmp(p, "\"primus::ping:", 14)) {       /* Primus heartbeat: say pong */
        char b[64]; size_t m = n < sizeof b ? n : sizeof b;
        memcpy(b, p, m); memcpy(b + 9, "pong", 4);
        struct frame f = make_frame(1, b, m); put(c, &f); free(f.b); return;
    }
    switch (c->st) {
    case OPEN: if (n > 1 && p[0] == '0' && p[1] == '{') { put(c, &sio40_f); c->st = SIO40; } break;
    case SIO40: if (n > 2 && !memcmp(p, "40{", 3)) logged_on(c); else if (n > 1 && !memcmp(p, "44", 2)) lost(c, 1); break;
    case HELLO: if (match(&o.ready, p, n)) ready(c); break;
    case READY:
        if (c->out && match(&o.reply, p, n)) {
            u64 t = c->sent[c->head]; c->head = (c->head + 1) % o.k; c->out--; replies_all++; last_progress = now;
            if (phase == MEASURE) { replies++; hist_add(&wlat, now - t); }
            if (!o.rate && (phase == WARMUP || phase == MEASURE)) request(c);
        } else if (o.sc == FANOUT && match(&o.deliver, p, n)) {
            static size_t hint; const char *q = NULL;                 /* the stamp is nearly always at one place */
            deliveries_all++; last_progress = now;
            if (phase != MEASURE) break;
            deliveries++;
            if (hint + 21 <= n && p[hint] == '@' && p[hint + 1] == 'T') q = p + hint;
            else if ((q = memmem(p, n, "@T", 2)) && q + 21 <= p + n) hint = q - p; else q = NULL;
            if (q) { u64 v = 0; for (int i = 2; i < 21; i++) v = v * 10 + (q[i] - '0'); hist_add(&wdlat, now - v); }
        }
    }
}
static size_t parse_plain(struct conn *c, char *p, size_t n) {        /* lines, or HTTP's responses */
    size_t at = 0;
    while (c->st != FREE) {
        char *s = p + at, *e = o.http ? memmem(s, n - at, "\r\n\r\n", 4) : memchr(s, '\n', n - at);
        if (!e) break;
        size_t len = e + (o.http ? 4 : 1) - s; long body = o.http ? -1 : 0;
        for (char *h = s; o.http && h < e; h++)
            if (*h == '\n' && e - h > 16 && !strncasecmp(h + 1, "content-length:", 15)) { body = atol(h + 16); break; }
        if (body < 0) { fprintf(stderr, "sioload: a response without a Content-Length\n"); lost(c, 1); break; }
        if (n - at < len + body) break;
        at += len + body;
        if (o.http && (len < 12 || memcmp(s + 8, " 200", 4))) {
            fprintf(stderr, "sioload: %.*s\n", (int)len - 4, s); lost(c, 1); break;
        }
        message(c, s, len + body);
    }
    return at;
}
static size_t parse(struct conn *c, char *p, size_t n) {              /* returns the bytes used */
    if (o.plain) return parse_plain(c, p, n);
    size_t at = 0;
    if (c->st == HTTP) {
        char *e = memmem(p, n, "\r\n\r\n", 4);
        if (!e) { if (n > 16384) lost(c, 1); return 0; }
        if (n < 12 || memcmp(p + 8, " 101", 4) || !memmem(p, e - p, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28)) { lost(c, 1); return 0; }
        at = e + 4 - p; c->st = OPEN;
        if (o.raw) logged_on(c);
    }
    while (c->st != FREE && n - at >= 2) {
        unsigned char *f = (unsigned char *)p + at; size_t h = 2, len = f[1] & 127;
        if (f[1] & 128) { lost(c, 1); break; }                        /* servers do not mask */
        if (len == 126) { if (n - at < 4) break; h = 4; len = f[2] << 8 | f[3]; }
        else if (len == 127) { if (n - at < 10) break; h = 10; len = 0; for (int i = 2; i < 10; i++) len = len << 8 | f[i]; }
        if (n - at < h + len) break;
        char *d = p + at + h; int op = f[0] & 15; at += h + len;
        if (op == 8) { lost(c, c->st != CLOSING); break; }
        if (op == 9) { char b[125]; if (len > 125) len = 125; memcpy(b, d, len);
                       struct frame r = make_frame(10, b, len); put(c, &r); free(r.b); continue; }
        if (op == 10 || c->st == CLOSING) continue;
        if (!(f[0] & 128) || op == 0) {                               /* fragments */
            memcpy(room(&c->msg, len), d, len); c->msg.n += len;
            if (f[0] & 128) { message(c, c->msg.b, c->msg.n); c->msg.n = 0; }
        } else message(c, d, len);
    }
    return at;
}
static void readable(struct conn *c) {
    ssize_t r = take(c, rbuf, sizeof rbuf);
#ifdef TLS
    if (o.tls && r > 0)                                               /* what TLS holds is not seen by epoll */
        for (ssize_t m; r < (ssize_t)sizeof rbuf - 20000 && (m = take(c, rbuf + r, sizeof rbuf - r)) > 0; ) r += m;
#endif
    if (r < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (r <= 0) { lost(c, c->st != CLOSING); return; }
    now = clock_ns();
    char *p = rbuf; size_t n = r, used;
    if (c->rx.n) { memcpy(room(&c->rx, n), rbuf, n); p = c->rx.b; n = c->rx.n += n; }
    used = parse(c, p, n);
    if (c->st == FREE) return;
    if (p == rbuf) { if (used < n) { memcpy(room(&c->rx, n - used), p + used, n - used); c->rx.n = n - used; } }
    else { memmove(c->rx.b, c->rx.b + used, n - used); c->rx.n = n - used; }
    flush(c);
}
static void event(struct conn *c, unsigned ev) {
    if (c->st == FREE) return;
    if (c->st == TCP) {
        int e = 0; socklen_t l = sizeof e;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
        if (e) { lost(c, 1); return; }
        if (o.plain) { poll_for(c, 0); logged_on(c); return; }
        c->st = HTTP;
#ifdef TLS
        if (o.tls) { c->ssl = SSL_new(tls); SSL_set_fd(c->ssl, c->fd); SSL_set_connect_state(c->ssl); c->st = SHAKE; }
    }
    if (c->st == SHAKE) {
        int r = SSL_do_handshake(c->ssl);
        if (r != 1) {
            int e = SSL_get_error(c->ssl, r);
            if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) poll_for(c, e == SSL_ERROR_WANT_WRITE); else lost(c, 1);
            return;
        }
        c->st = HTTP;
    }
    if (c->st == HTTP && !c->tx.n && !c->hello) {
#endif
        c->hello = 1;
        size_t n = strlen(upgrade); memcpy(room(&c->tx, n), upgrade, n); c->tx.n = n;
        flush(c); return;
    }
    if (ev & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
    if (c->st != FREE && (ev & EPOLLOUT)) flush(c);
}
static void spin(u64 until) {                                         /* one turn of the event loop */
    struct epoll_event ev[256];
    now = clock_ns();
    int ms = until <= now || (o.spin && phase > SETTLE) ? 0 : (int)((until - now) / 1000000 + 1);
    int n = epoll_wait(ep, ev, 256, ms > 50 ? 50 : ms);
    u64 woke = now = clock_ns();
    for (int i = 0; i < n; i++) event(conns + ev[i].data.u32, ev[i].events);
    if (o.rate && (phase == WARMUP || phase == MEASURE)) { now = clock_ns(); paced(); }
    if (o.sc == CONNECT && phase != DRAIN)
        for (int i = 0; i < o.n; i++) {
            struct conn *c = conns + i;
            if (c->st != FREE && now - c->opened > 2000000000ull) { close_timeouts++; lost(c, c->st != CLOSING); }
            if (c->st == FREE && errors < 10000) open_conn(c);
        }
    if (n > 0) work_ns += clock_ns() - woke;
}
static void run_for(double s, int ph) {
    phase = ph; u64 end = clock_ns() + (u64)(s * 1e9);
    while ((now = clock_ns()) < end) spin(end);
}
static void open_all(void) {
    u64 end = clock_ns() + 120 * 1000000000ull;
    phase = OPENING; last_progress = clock_ns();
    while (nready < o.n) {
        while (opening < o.c && next_open < o.n) open_conn(conns + next_open++);
        spin(end);
        if (errors || dead) { fprintf(stderr, "sioload: %d of %d connections opened\n", nready, o.n); die("a connection failed while opening"); }
        if (now > end || now > last_progress + 15 * 1000000000ull) { fprintf(stderr, "sioload: %d of %d connections opened\n", nready, o.n); die("opening takes too long"); }
    }
}

struct snap { double secs, gen, srv, steal, replies, deliveries, handshakes; };
static void snap(struct snap *s) {
    *s = (struct snap){ clock_ns() / 1e9, o.spin ? work_ns / 1e9 : rusage_s(), srv_cpu_s(), steal_s(), replies, deliveries, handshakes };
}
static void add(struct snap *to, const struct snap *a, const struct snap *z) {
    for (unsigned i = 0; i < sizeof *to / sizeof(double); i++) ((double *)to)[i] += ((const double *)z)[i] - ((const double *)a)[i];
}

int main(int argc, char **argv) {
    const char *names[] = { "echo", "fanout", "connect", "idle" };
    if (argc < 2) die("usage: sioload echo|fanout|connect|idle --port P [options]; see the top of sioload.c");
    for (o.sc = 0; o.sc < 4 && strcmp(argv[1], names[o.sc]); o.sc++);
    if (o.sc == 4) die("unknown scenario");
    o.name = names[o.sc]; o.srcs = o.sc == CONNECT ? 200 : 1;
    for (int i = 2; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(a, "--nocoalesce")) { o.nocoalesce = 1; continue; }
        if (!strcmp(a, "--spin")) { o.spin = 1; continue; }
#ifdef TLS
        if (!strcmp(a, "--tls")) { o.tls = 1; continue; }
#endif
        if (!v) die("an option lacks its value");
        i++;
        if (!strcmp(a, "--host")) o.host = v; else if (!strcmp(a, "--port")) o.port = atoi(v);
        else if (!strcmp(a, "--path")) o.path = v; else if (!strcmp(a, "--proto")) { o.raw = !!strcmp(v, "sio"); o.http = !strcmp(v, "http"); o.plain = o.http || !strcmp(v, "lines"); }
        else if (!strcmp(a, "-n")) o.n = atoi(v); else if (!strcmp(a, "-k")) o.k = atoi(v);
        else if (!strcmp(a, "-s")) o.s = atoi(v); else if (!strcmp(a, "-c")) o.c = atoi(v);
        else if (!strcmp(a, "-t")) o.t = atof(v); else if (!strcmp(a, "-w")) o.w = atof(v);
        else if (!strcmp(a, "--hold")) o.hold = atof(v); else if (!strcmp(a, "--rate")) o.rate = atof(v); else if (!strcmp(a, "--stretch")) o.stretch = atof(v); else if (!strcmp(a, "--size")) o.size = atoi(v);
        else if (!strcmp(a, "--send")) o.send = v; else if (!strcmp(a, "--reply")) o.reply = pat(v);
        else if (!strcmp(a, "--deliver")) o.deliver = pat(v); else if (!strcmp(a, "--hello")) o.hello = v;
        else if (!strcmp(a, "--ready")) o.ready = pat(v); else if (!strcmp(a, "--pid")) o.pid = atoi(v);
        else if (!strcmp(a, "--srcs")) o.srcs = atoi(v); else if (!strcmp(a, "--cpu")) o.cpu = atoi(v);
        else if (!strcmp(a, "--per-say")) o.per_say = atol(v); else if (!strcmp(a, "--label")) o.label = v;
        else { fprintf(stderr, "sioload: unknown option %s\n", a); return 2; }
    }
    if (o.n < 1 || o.k < 1 || o.c < 1 || o.srcs < 1 || o.size < 0 || o.t > 600 || o.w > 600 || o.hold > 600) die("bad value");
    peer.sin_family = AF_INET; peer.sin_port = htons(o.port);
    if (inet_pton(AF_INET, o.host, &peer.sin_addr) != 1 || (ntohl(peer.sin_addr.s_addr) >> 24) != 127) die("--host must be in 127.0.0.0/8");
    if (o.plain && o.sc != ECHO && o.sc != FANOUT) die("lines and http know echo and fanout only");
    if (o.http) { snprintf(upgrade, sizeof upgrade, "GET %s HTTP/1.1\r\nHost: %s:%d\r\n\r\n", o.path, o.host, o.port); o.send = strdup(upgrade); }
    else if (o.plain && o.send) { char *line = malloc(strlen(o.send) + 3); sprintf(line, "%s\r\n", o.send); o.send = line; }
    if (!o.send) o.send = o.sc == FANOUT ? "42[\"say\",{\"message\":\"%T%P\"}]" : "42[\"action\",{\"action\":\"echo\",\"payload\":\"%P\"}]";
    if (!o.reply.s) o.reply = pat("42[\"response\"");
    if (!o.deliver.s) o.deliver = pat("42[\"say\"");
    if (o.per_say < 0) o.per_say = o.n - 1;
    if (o.sc == CONNECT) o.n = o.c;
    if (o.sc == IDLE) o.spin = 0;
    if (o.rate) o.spin = 1;
    if (o.s > o.n) o.s = o.n;
    if (o.cpu >= 0) { cpu_set_t s; CPU_ZERO(&s); CPU_SET(o.cpu, &s); if (sched_setaffinity(0, sizeof s, &s)) die("cannot pin"); }
    struct rlimit rl; getrlimit(RLIMIT_NOFILE, &rl);
    if (rl.rlim_cur < (rlim_t)o.n + 64) { rl.rlim_cur = o.n + 64; if (rl.rlim_max < rl.rlim_cur) rl.rlim_max = rl.rlim_cur;
        if (setrlimit(RLIMIT_NOFILE, &rl)) die("cannot raise the file limit"); }

    snprintf(upgrade, sizeof upgrade, "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", o.path, o.host, o.port);
    req = make_frame(1, o.send, strlen(o.send)); sio40_f = make_frame(1, "40", 2); pong_f = make_frame(1, "3", 1);
    close_f = make_frame(8, "\x03\xe8", 2); if (o.hello) hello_f = make_frame(1, o.hello, strlen(o.hello));
#ifdef TLS
    if (o.tls) { tls = SSL_CTX_new(TLS_client_method()); SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER); }
#endif
    conns = calloc(o.n, sizeof *conns);
    for (int i = 0; i < o.n; i++) conns[i].sent = (o.sc == ECHO || (o.sc == FANOUT && i < o.s)) ? calloc(o.k, sizeof(u64)) : NULL;
    ep = epoll_create1(EPOLL_CLOEXEC);

    long rss0 = rss_kib(), rss1 = 0, rss2 = 0;
    u64 t_open = clock_ns();
    if (o.sc != CONNECT) open_all();
    double open_s = (clock_ns() - t_open) / 1e9;
    run_for(o.sc == IDLE ? 2 : o.sc == CONNECT ? 0 : 0.3, SETTLE);
    rss1 = rss_kib();
    due_ns = clock_ns();
    if (!o.rate && (o.sc == ECHO || o.sc == FANOUT))
        for (int i = 0; i < (o.sc == ECHO ? o.n : o.s); i++) { for (int j = 0; j < o.k; j++) request(conns + i); flush(conns + i); }
    if (o.sc != IDLE) run_for(o.w, WARMUP);
    struct snap a, z, sum = { 0 }, calm = { 0 };
    double busy_end = (o.sc == IDLE ? 1 : o.stretch) * (o.sc == IDLE ? o.hold : o.t);
    for (snap(&a); sum.secs < busy_end - 0.25 && calm.secs < (o.sc == IDLE ? o.hold : o.t) - 0.25; a = z) {
        run_for(0.5, MEASURE);
        snap(&z);
        int ok = z.steal - a.steal <= 0.04 * (z.secs - a.secs);
        add(&sum, &a, &z); if (ok) add(&calm, &a, &z);
        hist_move(ok ? &lat : &lat_all, &wlat); hist_move(ok ? &dlat : &dlat_all, &wdlat);
    }
    int noisy = calm.secs < 0.25 * o.t && o.sc != IDLE;               /* hardly a calm moment: all windows count */
    if (noisy || o.sc == IDLE) { calm = sum; hist_move(&lat, &lat_all); hist_move(&dlat, &dlat_all); }
    double secs = calm.secs, gcpu = calm.gen / secs, scpu = calm.srv / secs, steal = sum.steal / sum.secs;
    double rate = (o.sc == ECHO ? calm.replies : o.sc == FANOUT ? calm.deliveries : calm.handshakes) / secs;
    rss2 = rss_kib();

    long missing = 0; last_progress = clock_ns();
    if (o.sc == ECHO || o.sc == FANOUT)                               /* read the tail: at most 10 s, 1 s of silence */
        for (u64 end = last_progress + 10000000000ull; phase = DRAIN, (now = clock_ns()) < end && now < last_progress + 1000000000ull; ) {
            missing = (long)(sent_all - replies_all);
            if (o.sc == FANOUT) missing += (long)(sent_all * o.per_say - deliveries_all);
            if (!missing) break;
            spin(now + 20000000);
        }
    int gen_bound = gcpu >= 0.9 && scpu < 0.95;
    printf("{\"label\":\"%s\",\"scenario\":\"%s\",\"n\":%d,\"k\":%d,\"s\":%d,\"size\":%d,\"secs\":%.2f", o.label ? o.label : "", o.name,
           o.n, o.k, o.s, o.size, secs);
    if (o.sc == ECHO) printf(",\"rate\":%.0f,\"unit\":\"replies/s\"", rate);
    if (o.sc == FANOUT) printf(",\"rate\":%.0f,\"unit\":\"deliveries/s\",\"says_per_s\":%.1f,\"deliver_p50_us\":%.0f,\"deliver_p99_us\":%.0f",
                               rate, calm.replies / secs, hist_us(&dlat, .5), hist_us(&dlat, .99));
    if (o.sc == CONNECT) printf(",\"rate\":%.0f,\"unit\":\"handshakes/s\",\"close_timeouts\":%llu", rate, (unsigned long long)close_timeouts);
    if (o.sc == IDLE) printf(",\"rate\":%.2f,\"unit\":\"KiB/conn\",\"rss_before\":%ld,\"rss_open\":%ld,\"rss_end\":%ld,\"alive\":%d,\"open_per_s\":%.0f",
                             (double)(rss1 - rss0) / o.n, rss0, rss1, rss2, nready, o.n / open_s);
    else printf(",\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%.0f", hist_us(&lat, .5), hist_us(&lat, .99), lat.max / 1e3);
    if (scpu > 0.01 && o.sc != IDLE) printf(",\"per_cpu_s\":%.0f", rate / scpu);
    printf(",\"gen_cpu\":%.2f,\"srv_cpu\":%.3f,\"steal\":%.2f,\"noisy\":%d,\"bound\":\"%s\",\"errors\":%llu,\"missing\":%ld}\n", gcpu, scpu, steal, noisy,
           gen_bound ? "generator" : "", (unsigned long long)errors, missing);
    return errors || dead || missing;
}
