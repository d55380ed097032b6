//! What the operator may do: one table, from which the chart's and kustomize's roles are written.

/// Rights on resources of one API group.
pub struct Grant {
    /// API group.
    pub group: &'static str,
    /// Resources.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// What they are for.
    pub why: &'static str,
}

const MANAGE: &[&str] = &["get", "list", "watch", "create", "patch", "delete"];

/// Rights in every namespace with resources.
pub const GRANTS: &[Grant] = &[
    Grant {
        group: "chat.sentinel.dev",
        resources: &["sentinelchats"],
        verbs: &["get", "list", "watch", "patch"],
        why: "read what is asked for; patch sets the finalizer of deletionPolicy Delete and who looks after it",
    },
    Grant {
        group: "coordination.k8s.io",
        resources: &["leases"],
        verbs: &["get"],
        why: "tell whether another installation that looks after a resource is there",
    },
    Grant { group: "chat.sentinel.dev", resources: &["sentinelchats/status"], verbs: &["patch"], why: "report" },
    Grant {
        group: "",
        resources: &["configmaps", "services", "serviceaccounts"],
        verbs: MANAGE,
        why: "configuration, addresses and identities",
    },
    Grant {
        group: "",
        resources: &["secrets"],
        verbs: &["get", "create", "delete"],
        why: "keys and credentials, by name; never listed or watched; delete is for deletionPolicy Delete",
    },
    Grant {
        group: "",
        resources: &["persistentvolumeclaims"],
        verbs: &["get", "list", "watch", "patch", "delete"],
        why: "grow volumes; delete is for deletionPolicy Delete and for nodes that have left their store",
    },
    Grant {
        group: "",
        resources: &["pods"],
        verbs: &["list", "watch", "delete"],
        why: "tell what is wrong; replace pods that are stuck on an old revision",
    },
    Grant { group: "", resources: &["events"], verbs: &["list"], why: "tell why a pod or volume is not made" },
    Grant {
        group: "",
        resources: &["namespaces"],
        verbs: &["get"],
        why: "let a resource go when its namespace is being deleted",
    },
    Grant { group: "apps", resources: &["deployments", "statefulsets"], verbs: MANAGE, why: "pods" },
    Grant { group: "batch", resources: &["jobs"], verbs: MANAGE, why: "bring the stores to the schema of an image" },
    Grant {
        group: "networking.k8s.io",
        resources: &["ingresses", "networkpolicies"],
        verbs: MANAGE,
        why: "who gets in",
    },
    Grant { group: "policy", resources: &["poddisruptionbudgets"], verbs: MANAGE, why: "drains" },
    Grant {
        group: "monitoring.coreos.com",
        resources: &["servicemonitors"],
        verbs: &["get", "list", "create", "patch", "delete"],
        why: "metrics, where the Prometheus operator is installed",
    },
    Grant {
        group: "events.k8s.io",
        resources: &["events"],
        verbs: &["create", "patch"],
        why: "tell people what happens",
    },
];

/// Rights in the operator's own namespace.
pub const OWN_GRANTS: &[Grant] = &[Grant {
    group: "coordination.k8s.io",
    resources: &["leases"],
    verbs: &["get", "create", "update"],
    why: "elect one replica",
}];

/// The rules as YAML, each with its reason.
pub fn rules_yaml(grants: &[Grant]) -> String {
    let list = |items: &[&str]| items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ");
    let rule = |grant: &Grant| {
        format!(
            "# {}\n- apiGroups: [{:?}]\n  resources: [{}]\n  verbs: [{}]\n",
            grant.why,
            grant.group,
            list(grant.resources),
            list(grant.verbs)
        )
    };
    grants.iter().map(rule).collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Kind;

    #[test]
    fn every_kind_that_is_made_may_be_managed() {
        for kind in Kind::ALL {
            let (group, _, _, plural) = kind.names();
            let grant = GRANTS.iter().find(|grant| grant.group == group && grant.resources.contains(&plural));
            let grant = grant.unwrap_or_else(|| panic!("no rights on {plural}"));
            for verb in ["list", "create", "patch", "delete"] {
                assert!(grant.verbs.contains(&verb), "{plural} lacks {verb}");
            }
        }
    }

    #[test]
    fn secrets_are_never_listed_and_nothing_is_a_wildcard() {
        for grant in GRANTS.iter().chain(OWN_GRANTS) {
            assert!(!grant.verbs.contains(&"*") && !grant.resources.contains(&"*"));
            if grant.resources.contains(&"secrets") {
                assert!(!grant.verbs.contains(&"list") && !grant.verbs.contains(&"watch"));
            }
        }
    }
}
