/* What the author of a policy plugin includes: the ABI's exports, typed views of its documents, and its answers.
 *
 * No allocation, no libc, no input or output of its own: a plugin is one function from a document to an answer. Build:
 *
 *     python -m pip install ziglang==0.17.1
 *     python -m ziglang cc -target wasm32-freestanding -nostdlib -O2 -Wl,--no-entry,--strip-all plugin.c -o plugin.wasm
 *
 * Version 1.1.0, by semantic versioning; CHANGES.md beside this file has a migration note for each breaking change.
 * Source: OC-POLICY-SDK-4101 ... 4112, OC-POLICY-4001.
 *
 *     #include "llorch_policy.h"
 *     static llp_answer decide(llp_text document) {
 *         llp_admission asked;
 *         if (!llp_admission_of(document, &asked)) return llp_allow();
 *         return asked.task.max_tokens > 512 ? llp_deny("at most 512 tokens") : llp_allow();
 *     }
 *     LLP_PLUGIN("token-cap", "1.0.0", decide)
 */
#ifndef LLORCH_POLICY_H
#define LLORCH_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define LLP_SDK_VERSION "1.1.0"
#define LLP_ABI_MAJOR 1
#define LLP_ABI_MINOR 1
#define LLP_FETCH_TOOL "1.0"
#define LLP_DOCUMENT_BYTES_MAX (64 * 1024)
#define LLP_ANSWER_BYTES_MAX 1024
#define LLP_URL_BYTES_MAX 900

/* A part of a document, or any text; not ended by a zero. `at` is NULL where there is none. */
typedef struct { const char *at; uint32_t length; } llp_text;
typedef llp_text llp_answer;

static inline uint32_t llp_length(const char *text) { uint32_t n = 0; while (text[n]) n++; return n; }
static inline llp_text llp_of(const char *text) { return (llp_text){text, llp_length(text)}; }
static inline bool llp_is(llp_text text, const char *other) {
    if (!text.at || text.length != llp_length(other)) return false;
    for (uint32_t i = 0; i < text.length; i++) if (text.at[i] != other[i]) return false;
    return true;
}
static inline bool llp_ends_with(llp_text text, const char *end) {
    uint32_t n = llp_length(end);
    return text.at && text.length >= n && llp_is((llp_text){text.at + text.length - n, n}, end);
}

/* ---- reading JSON: valid documents come from the host; what is no JSON is read as nothing ---- */

static inline uint32_t llp_blank(llp_text t, uint32_t i) {
    while (i < t.length && (t.at[i] == ' ' || t.at[i] == '\t' || t.at[i] == '\n' || t.at[i] == '\r')) i++;
    return i;
}
/* The index behind the value that begins at `i`; 0 = it does not end. */
static inline uint32_t llp_behind(llp_text t, uint32_t i) {
    uint32_t depth = 0;
    bool quoted = false;
    for (; i < t.length; i++) {
        char c = t.at[i];
        if (quoted) {
            if (c == '\\') i++;
            else if (c == '"') { quoted = false; if (!depth) return i + 1; }
        } else if (c == '"') quoted = true;
        else if (c == '{' || c == '[') depth++;
        else if (c == '}' || c == ']') { if (!depth) return i; if (!--depth) return i + 1; }
        else if (!depth && (c == ',' || c == ' ' || c == '\n')) return i;
    }
    return depth || quoted ? 0 : i;
}
/* The value of `name` in an object, quotes and all; NULL where it has none. */
static inline llp_text llp_member(llp_text object, const char *name) {
    uint32_t i = llp_blank(object, 0);
    if (!object.at || i >= object.length || object.at[i] != '{') return (llp_text){0, 0};
    for (i = llp_blank(object, i + 1); i < object.length && object.at[i] == '"';) {
        uint32_t key_end = llp_behind(object, i);
        if (!key_end) break;
        llp_text key = {object.at + i + 1, key_end - i - 2};
        uint32_t colon = llp_blank(object, key_end);
        if (colon >= object.length || object.at[colon] != ':') break;
        uint32_t begin = llp_blank(object, colon + 1), end = llp_behind(object, begin);
        if (!end || end <= begin) break;
        if (llp_is(key, name)) return (llp_text){object.at + begin, end - begin};
        i = llp_blank(object, end);
        if (i < object.length && object.at[i] == ',') i = llp_blank(object, i + 1);
    }
    return (llp_text){0, 0};
}
/* The next element of an array; begin with `*at` 0; NULL at its end. */
static inline llp_text llp_next(llp_text array, uint32_t *at) {
    if (!array.at) return (llp_text){0, 0};
    uint32_t i = llp_blank(array, *at);
    if (*at == 0) { if (i >= array.length || array.at[i] != '[') return (llp_text){0, 0}; i++; }
    i = llp_blank(array, i);
    if (i < array.length && array.at[i] == ',') i = llp_blank(array, i + 1);
    uint32_t end = i < array.length && array.at[i] != ']' ? llp_behind(array, i) : 0;
    if (!end || end <= i) return (llp_text){0, 0};
    *at = end;
    return (llp_text){array.at + i, end - i};
}
/* A string without its quotes; escapes stay as they are written. */
static inline llp_text llp_string(llp_text value) {
    if (!value.at || value.length < 2 || value.at[0] != '"') return (llp_text){0, 0};
    return (llp_text){value.at + 1, value.length - 2};
}
/* A whole number; what is none, or does not fit, is `otherwise`. */
static inline int64_t llp_number(llp_text value, int64_t otherwise) {
    bool negative = value.at && value.length && value.at[0] == '-';
    uint64_t sum = 0;
    uint32_t i = negative ? 1 : 0;
    if (!value.at || i >= value.length || value.length - i > 18) return otherwise;
    for (; i < value.length; i++) {
        if (value.at[i] < '0' || value.at[i] > '9') return otherwise;
        sum = sum * 10 + (uint64_t)(value.at[i] - '0');
    }
    return negative ? -(int64_t)sum : (int64_t)sum;
}
static inline bool llp_true(llp_text value) { return llp_is(value, "true"); }

/* ---- typed views of what each hook is handed ---- */

typedef struct {
    llp_text task_id, session_id, engine, model_ref, priority;
    int64_t ctx, max_tokens, deadline_ms, input_bytes;
} llp_task;
typedef struct { llp_text id; int64_t queue_depth_interactive, queue_depth_batch, slots_total, slots_free; } llp_pool;
typedef struct { llp_task task; llp_pool pool; } llp_admission;
typedef struct { llp_task task; llp_text replicas; } llp_placement; /* replicas: for llp_next_replica */
typedef struct { llp_text replica_id; bool is_ready; int64_t slots_active, slots_total, vram_free_bytes; } llp_replica;
typedef struct { llp_text purpose, scheme, host; int64_t port; } llp_outbound;

static inline llp_task llp_task_of(llp_text value) {
    return (llp_task){
        .task_id = llp_string(llp_member(value, "task_id")), .session_id = llp_string(llp_member(value, "session_id")),
        .engine = llp_string(llp_member(value, "engine")), .model_ref = llp_string(llp_member(value, "model_ref")),
        .priority = llp_string(llp_member(value, "priority")), .ctx = llp_number(llp_member(value, "ctx"), 0),
        .max_tokens = llp_number(llp_member(value, "max_tokens"), 0),
        .deadline_ms = llp_number(llp_member(value, "deadline_ms"), 0),
        .input_bytes = llp_number(llp_member(value, "input_bytes"), 0)};
}
static inline bool llp_is_hook(llp_text document, const char *hook) {
    return llp_is(llp_string(llp_member(document, "hook")), hook);
}
/* Each of these is false where the document is another hook's. */
static inline bool llp_admission_of(llp_text document, llp_admission *out) {
    if (!llp_is_hook(document, "admission")) return false;
    llp_text pool = llp_member(document, "pool");
    out->task = llp_task_of(llp_member(document, "task"));
    out->pool = (llp_pool){
        .id = llp_string(llp_member(pool, "id")),
        .queue_depth_interactive = llp_number(llp_member(pool, "queue_depth_interactive"), 0),
        .queue_depth_batch = llp_number(llp_member(pool, "queue_depth_batch"), 0),
        .slots_total = llp_number(llp_member(pool, "slots_total"), 0),
        .slots_free = llp_number(llp_member(pool, "slots_free"), 0)};
    return true;
}
static inline bool llp_placement_of(llp_text document, llp_placement *out) {
    if (!llp_is_hook(document, "placement")) return false;
    *out = (llp_placement){llp_task_of(llp_member(document, "task")), llp_member(document, "replicas")};
    return true;
}
static inline bool llp_next_replica(llp_text replicas, uint32_t *at, llp_replica *out) {
    llp_text value = llp_next(replicas, at);
    if (!value.at) return false;
    *out = (llp_replica){
        .replica_id = llp_string(llp_member(value, "replica_id")), .is_ready = llp_true(llp_member(value, "is_ready")),
        .slots_active = llp_number(llp_member(value, "slots_active"), 0),
        .slots_total = llp_number(llp_member(value, "slots_total"), 0),
        .vram_free_bytes = llp_number(llp_member(value, "vram_free_bytes"), 0)};
    return true;
}
static inline bool llp_outbound_of(llp_text document, llp_outbound *out) {
    if (!llp_is_hook(document, "outbound")) return false;
    llp_text request = llp_member(document, "request");
    *out = (llp_outbound){
        llp_string(llp_member(request, "purpose")), llp_string(llp_member(request, "scheme")),
        llp_string(llp_member(request, "host")), llp_number(llp_member(request, "port"), 0)};
    return true;
}

/* What came of a fetch that this plugin has asked for. `outcome`: answered, refused or failed, and then `reason`. */
typedef struct { llp_text outcome, reason, mime, body; int64_t status; } llp_fetched;

/* False where nothing was fetched yet: answer llp_fetch(url), and you are asked again with what came of it. */
static inline bool llp_fetched_of(llp_text document, llp_fetched *out) {
    llp_text value = llp_member(document, "fetched");
    if (!value.at) return false;
    *out = (llp_fetched){
        .outcome = llp_string(llp_member(value, "outcome")), .reason = llp_string(llp_member(value, "reason")),
        .mime = llp_string(llp_member(value, "mime")), .body = llp_string(llp_member(value, "body")),
        .status = llp_number(llp_member(value, "status"), 0)};
    return true;
}
static inline bool llp_is_ok(const llp_fetched *fetched) {
    return llp_is(fetched->outcome, "answered") && fetched->status == 200;
}

static inline int32_t llp_hex4(llp_text t, uint32_t i) {
    int32_t sum = 0;
    if (i + 4 > t.length) return -1;
    for (uint32_t n = i; n < i + 4; n++) {
        char c = t.at[n];
        int32_t digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return -1;
        sum = sum << 4 | digit;
    }
    return sum;
}
static inline uint32_t llp_utf8(uint32_t c, char *out) {
    if (c < 0x80) { out[0] = (char)c; return 1; }
    if (c < 0x800) { out[0] = (char)(0xC0 | c >> 6); out[1] = (char)(0x80 | (c & 63)); return 2; }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12); out[1] = (char)(0x80 | (c >> 6 & 63)); out[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18); out[1] = (char)(0x80 | (c >> 12 & 63));
    out[2] = (char)(0x80 | (c >> 6 & 63)); out[3] = (char)(0x80 | (c & 63));
    return 4;
}
/* A string with its escapes resolved, written into `room`; what does not fit is left out, whole characters at a time. */
static inline llp_text llp_unescaped(llp_text text, char *room, uint32_t size) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < text.length; i++) {
        char wide[4];
        uint32_t width = 1, c = (unsigned char)text.at[i];
        if (c == '\\' && i + 1 < text.length) {
            char e = text.at[++i];
            int32_t high = e == 'u' ? llp_hex4(text, i + 1) : -1;
            c = e == 'n' ? '\n' : e == 't' ? '\t' : e == 'r' ? '\r' : e == 'b' ? '\b' : e == 'f' ? '\f' : (unsigned char)e;
            if (high >= 0) {
                c = (uint32_t)high;
                i += 4;
                bool is_pair = c >= 0xD800 && c < 0xDC00 && i + 6 < text.length && text.at[i + 1] == '\\' && text.at[i + 2] == 'u';
                int32_t low = is_pair ? llp_hex4(text, i + 3) : -1;
                if (low >= 0xDC00 && low < 0xE000) { c = 0x10000 + ((c - 0xD800) << 10) + ((uint32_t)low - 0xDC00); i += 6; }
                else if (c >= 0xD800 && c < 0xE000) c = 0xFFFD;
                width = llp_utf8(c, wide);
            } else wide[0] = (char)c;
        } else {
            while (i + width < text.length && width < 4 && ((unsigned char)text.at[i + width] & 0xC0) == 0x80) width++;
            for (uint32_t k = 0; k < width; k++) wide[k] = text.at[i + k];
            i += width - 1;
        }
        if (n + width > size) break;
        for (uint32_t k = 0; k < width; k++) room[n++] = wide[k];
    }
    return (llp_text){room, n};
}
/* The next line of a text, without its end; begin with `*at` 0; NULL at the end. */
static inline llp_text llp_next_line(llp_text text, uint32_t *at) {
    if (!text.at || *at >= text.length) return (llp_text){0, 0};
    uint32_t begin = *at, end = begin;
    while (end < text.length && text.at[end] != '\n') end++;
    *at = end + 1;
    if (end > begin && text.at[end - 1] == '\r') end--;
    return (llp_text){text.at + begin, end - begin};
}
static inline bool llp_same(llp_text one, llp_text other) {
    if (!one.at || !other.at || one.length != other.length) return false;
    for (uint32_t i = 0; i < one.length; i++) if (one.at[i] != other.at[i]) return false;
    return true;
}

/* ---- answers; every text of one goes through the redaction hook before it leaves ---- */

static char llp_buffer[LLP_ANSWER_BYTES_MAX];

/* The hook. Define LLP_REDACT before the include to use another: void f(char *text, uint32_t length), which changes the
 * text in place. This one blots out what looks like a key: 20 and more letters, digits, _ and - with a digit among them. */
static inline void llp_redact_keys(char *text, uint32_t length) {
    for (uint32_t begin = 0, end; begin < length; begin = end + 1) {
        bool has_digit = false;
        for (end = begin; end < length; end++) {
            char c = text[end];
            bool is_digit = c >= '0' && c <= '9';
            if (!is_digit && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_' && c != '-') break;
            has_digit |= is_digit;
        }
        if (has_digit && end - begin >= 20) for (uint32_t i = begin; i < end; i++) text[i] = '*';
    }
}
#ifndef LLP_REDACT
#define LLP_REDACT llp_redact_keys
#endif

/* `kept`: so many bytes at the beginning of `text` are no secret; the hook is handed what follows. */
static inline llp_answer llp_with(const char *head, llp_text text, uint32_t kept, const char *tail) {
    uint32_t n = 0;
    for (const char *c = head; *c; c++) llp_buffer[n++] = *c;
    uint32_t begin = n;
    for (uint32_t i = 0; i < text.length && n < LLP_ANSWER_BYTES_MAX - 16; i++) {
        char c = text.at[i];
        llp_buffer[n++] = (unsigned char)c < 0x20 || c == '"' || c == '\\' ? ' ' : c;
    }
    while (n > begin && ((unsigned char)llp_buffer[n - 1] & 0xC0) == 0x80 && text.length > n - begin) n--; /* no half character */
    if (n > begin && text.length > n - begin && (unsigned char)llp_buffer[n - 1] >= 0xC0) n--;
    if (kept < n - begin) LLP_REDACT(llp_buffer + begin + kept, n - begin - kept);
    for (const char *c = tail; *c; c++) llp_buffer[n++] = *c;
    return (llp_answer){llp_buffer, n};
}
static inline llp_answer llp_allow(void) { return llp_of("{\"decision\":\"allow\"}"); }
static inline llp_answer llp_deny_text(llp_text reason) { return llp_with("{\"decision\":\"deny\",\"reason\":\"", reason, 0, "\"}"); }
static inline llp_answer llp_deny(const char *reason) { return llp_deny_text(llp_of(reason)); }
static inline llp_answer llp_no_hint(void) { return llp_of("{\"decision\":\"none\"}"); }
static inline llp_answer llp_hint(llp_text replica_id) {
    return replica_id.at ? llp_with("{\"decision\":\"hint\",\"replica_id\":\"", replica_id, 0, "\"}") : llp_no_hint();
}
/* Ask the host to GET an address, at admission and placement, once for each question; what may be fetched is in the
 * plugin's configuration. Path and query go through the redaction hook: to fetch by a digest, define one that lets it pass.
 * An address that is too long is asked for as none, and refused. */
static inline llp_answer llp_fetch_text(llp_text url) {
    uint32_t slashes = 0, host_end = 0;
    if (url.length > LLP_URL_BYTES_MAX) url.length = 0;
    for (; host_end < url.length && slashes < 3 && url.at[host_end] != '?'; host_end++) slashes += url.at[host_end] == '/';
    return llp_with("{\"decision\":\"fetch\",\"tool\":\"" LLP_FETCH_TOOL "\",\"url\":\"", url, host_end, "\"}");
}
static inline llp_answer llp_fetch(const char *url) { return llp_fetch_text(llp_of(url)); }

/* ---- the ABI ---- */

#define LLP_EXPORT(name) __attribute__((export_name(name), used))
#define LLP_PACKED(text) ((int64_t)(((uint64_t)(uintptr_t)(text).at << 32) | (text).length))

#define LLP_PLUGIN(name, version, decide)                                                                              \
    static char llp_document[LLP_DOCUMENT_BYTES_MAX];                                                                  \
    LLP_EXPORT("llorch_abi") int32_t llp_export_abi(void) { return LLP_ABI_MAJOR << 16 | LLP_ABI_MINOR; }              \
    LLP_EXPORT("llorch_alloc") char *llp_export_alloc(uint32_t length) {                                               \
        return length <= sizeof llp_document ? llp_document : 0;                                                       \
    }                                                                                                                  \
    LLP_EXPORT("llorch_describe") int64_t llp_export_describe(void) {                                                  \
        llp_text told = llp_of("{\"name\":\"" name "\",\"version\":\"" version "\",\"sdk\":\"" LLP_SDK_VERSION "\"}"); \
        return LLP_PACKED(told);                                                                                       \
    }                                                                                                                  \
    LLP_EXPORT("llorch_decide") int64_t llp_export_decide(char *at, uint32_t length) {                                 \
        llp_text answer = decide((llp_text){at, length});                                                              \
        return LLP_PACKED(answer);                                                                                     \
    }

#endif
