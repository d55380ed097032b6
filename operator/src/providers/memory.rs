//! How much of a node's memory its engine may use, so that limits that a user writes are made use of.

use crate::api::{Quantities, Resources};

/// Bytes in a MiB.
const MIB: i128 = 1 << 20;

/// Memory of a node in MiB: its limit, which is `default` unless written, or what is set aside for it where that is more.
pub(super) fn of_node(resources: Option<&Resources>, default: u32) -> u32 {
    let Some(resources) = resources else { return default };
    let written = |amounts: &Quantities| amounts.get("memory").and_then(|amount| mib(&amount.0)).filter(|mib| *mib > 0);
    written(&resources.limits).unwrap_or_else(|| written(&resources.requests).unwrap_or(0).max(default))
}

/// An amount of bytes in MiB, rounded down.
pub(super) fn mib(amount: &str) -> Option<u32> {
    // Amounts are counted in thousandths.
    u32::try_from(crate::subset::amount(amount)? / 1_000 / MIB).ok()
}

/// Heap of a Java process that gets `memory` MiB: the rest is for its code, threads, buffers and the page cache.
pub(super) fn heap(memory: u32) -> u32 {
    // Beyond this, pointers grow to twice their size.
    (memory / 3).clamp(64, 31 << 10)
}

/// Options of a Java process with a heap of that many MiB: how it collects garbage and compiles its code.
pub(super) fn engine(heap: u32) -> &'static [&'static str] {
    match heap {
        // Such a node serves a few people. To compile its code a second time, for speed, would take a third of the processor's
        // time in its first minutes, and tens of MiB.
        0..=256 => &["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
        // A small heap is clean in no time; the concurrent collector would take a tenth of it for itself.
        257..1024 => &["-XX:+UseSerialGC"],
        _ => &["-XX:+UseG1GC"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    fn memory(amount: &str) -> Quantities {
        Quantities::from([("memory".into(), Quantity(amount.into()))])
    }

    #[test]
    fn the_limit_counts_or_a_request_that_is_more() {
        let both = Resources { requests: memory("1Gi"), limits: memory("2Gi") };
        assert_eq!(of_node(Some(&both), 768), 2048);
        let request = Resources { requests: memory("1Gi"), ..Resources::default() };
        assert_eq!(of_node(Some(&request), 768), 1024);
        let request = Resources { requests: memory("128Mi"), ..Resources::default() };
        assert_eq!(of_node(Some(&request), 768), 768);
        assert_eq!(of_node(Some(&Resources::default()), 768), 768);
        assert_eq!(of_node(None, 768), 768);
    }

    #[test]
    fn heaps_grow_with_memory_and_stay_below_wide_pointers() {
        assert_eq!(heap(768), 256);
        assert_eq!(heap(8192), 2730);
        assert_eq!(heap(1 << 20), 31 << 10);
        assert_eq!(engine(256), ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        assert_eq!(engine(512), ["-XX:+UseSerialGC"]);
        assert_eq!(engine(4096), ["-XX:+UseG1GC"]);
    }
}
