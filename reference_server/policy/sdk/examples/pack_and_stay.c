/* Placement: fill the Ready replica with the most slots in use, so that the others can rest.
 * Outbound: nothing leaves for hosts outside .internal.example. */
#include "../llorch_policy.h"

static llp_answer fullest(llp_text replicas) {
    llp_replica seen;
    llp_text best = {0, 0};
    int64_t most = -1;
    for (uint32_t at = 0; llp_next_replica(replicas, &at, &seen);)
        if (seen.is_ready && seen.slots_active < seen.slots_total && seen.slots_active > most) {
            most = seen.slots_active;
            best = seen.replica_id;
        }
    return llp_hint(best);
}

static llp_answer decide(llp_text document) {
    llp_placement placed;
    llp_outbound leaving;
    if (llp_placement_of(document, &placed)) return fullest(placed.replicas);
    if (llp_outbound_of(document, &leaving) && !llp_ends_with(leaving.host, ".internal.example"))
        return llp_deny("only hosts of .internal.example");
    return llp_allow();
}

LLP_PLUGIN("pack-and-stay", "1.0.0", decide)
