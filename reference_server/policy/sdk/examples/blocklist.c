/* Admission: models that a list on a server names are not run; one model_ref on each line. Its configuration:
 *     fetch: {allow: [policy.internal.example]}
 * A list that cannot be read refuses: a policy that cannot be asked has not allowed. */
#include "../llorch_policy.h"

#ifndef LIST
#define LIST "https://policy.internal.example/blocked-models.txt"
#endif

static char room[LLP_DOCUMENT_BYTES_MAX];

static llp_answer decide(llp_text document) {
    llp_admission asked;
    llp_fetched list;
    if (!llp_admission_of(document, &asked)) return llp_allow();
    if (!llp_fetched_of(document, &list)) return llp_fetch(LIST);
    if (!llp_is_ok(&list)) return llp_deny("the list of blocked models cannot be read");
    llp_text lines = llp_unescaped(list.body, room, sizeof room), line;
    for (uint32_t at = 0; (line = llp_next_line(lines, &at)).at;)
        if (llp_same(line, asked.task.model_ref)) return llp_deny("the list of blocked models names it");
    return llp_allow();
}

LLP_PLUGIN("blocklist", "1.0.0", decide)
