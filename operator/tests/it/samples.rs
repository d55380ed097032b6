//! Every sample, with all that is made for it.

use std::{fs, path::Path};

use sentinel_operator::{render, settings::Settings, subset::amount};
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn every_sample_makes_what_its_snapshot_says() {
    let settings =
        Settings { sentinel_image: "sentinel:1.2.3".into(), gateway_image: "nginx:1.29".into(), ..Settings::default() };
    let mut count = 0;
    for entry in fs::read_dir(root().join("config/samples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "kustomization" {
            continue;
        }
        for chat in render::parse(&fs::read_to_string(&path).unwrap()).unwrap() {
            let objects = render::render(&chat, &settings).unwrap();
            insta::assert_snapshot!(name.clone(), render::to_yaml(&objects).unwrap());
            count += 1;
        }
    }
    assert!(count >= 6);
}

#[test]
fn every_object_is_namespaced_labelled_and_restricted() {
    let text = fs::read_to_string(root().join("config/samples/embedded-ingress.yaml")).unwrap();
    let chat = render::parse(&text).unwrap().remove(0);
    for object in render::render(&chat, &Settings::default()).unwrap() {
        assert_eq!(object["metadata"]["namespace"], "chats", "{object}");
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "sentinel-operator", "{object}");
        let Some(pod) = object.pointer("/spec/template/spec") else { continue };
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(pod["automountServiceAccountToken"], false);
        for container in pod["containers"].as_array().unwrap() {
            assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
            assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
        }
    }
}

#[test]
fn the_small_platform_fits_8_gib() {
    let total = most_memory_of_small("3");
    assert!(total <= amount("8Gi").unwrap(), "{} MiB", total / amount("1Mi").unwrap());
}

/// End-to-end tests scale the small platform by one node of Cassandra.
#[test]
fn a_fourth_node_of_cassandra_fits_9_gib() {
    let total = most_memory_of_small("4");
    assert!(total <= amount("9Gi").unwrap(), "{} MiB", total / amount("1Mi").unwrap());
}

/// kubeadm's parts of a cluster of one node, as kind makes it, request 950m: API server 250, controller manager 200,
/// scheduler, etcd, two DNS servers and the pod network 100 each. The operator requests 20m.
#[test]
fn the_small_platform_fits_two_cores_beside_kubernetes() {
    let requests: i128 =
        of_small("4", |resources| resources["requests"]["cpu"].as_str().map_or(0, |cpu| amount(cpu).unwrap()));
    assert!(requests + amount("970m").unwrap() <= amount("2").unwrap(), "{requests}m");
}

/// Memory that the sample cannot exceed with that many nodes of Cassandra.
fn most_memory_of_small(cassandra: &str) -> i128 {
    of_small(cassandra, |resources| {
        amount(resources["limits"]["memory"].as_str().expect("a container has no memory limit")).unwrap()
    })
}

/// The sum over all containers of the sample with that many nodes of Cassandra, in thousandths.
fn of_small(cassandra: &str, of: impl Fn(&serde_json::Value) -> i128) -> i128 {
    let text = fs::read_to_string(root().join("config/samples/distributed-small.yaml")).unwrap();
    let of_cassandra = "    cassandra:\n      managed:\n        replicas: ";
    assert!(text.contains(&format!("{of_cassandra}3")), "the sample has three nodes of Cassandra");
    let text = text.replace(&format!("{of_cassandra}3"), &format!("{of_cassandra}{cassandra}"));
    let chat = render::parse(&text).unwrap().remove(0);
    let mut total = 0;
    for object in render::render(&chat, &Settings::default()).unwrap() {
        let Some(pod) = object.pointer("/spec/template/spec") else { continue };
        // A Job's pod comes and goes before the services do; a Deployment makes one more while it changes.
        let pods = match object["kind"].as_str().unwrap() {
            "Deployment" => object["spec"]["replicas"].as_i64().unwrap() + 1,
            "StatefulSet" => object["spec"]["replicas"].as_i64().unwrap(),
            _ => 0,
        };
        let containers = pod["containers"].as_array().unwrap();
        total += i128::from(pods) * containers.iter().map(|container| of(&container["resources"])).sum::<i128>();
    }
    total
}

#[test]
fn in_production_no_two_copies_are_on_one_node_and_images_are_exact() {
    let text = fs::read_to_string(root().join("config/samples/distributed-production.yaml")).unwrap();
    let chat = render::parse(&text).unwrap().remove(0);
    let objects = render::render(&chat, &Settings::default()).unwrap();
    for object in &objects {
        for container in
            object.pointer("/spec/template/spec/containers").and_then(Value::as_array).into_iter().flatten()
        {
            let image = container["image"].as_str().unwrap();
            let tag = image.rsplit_once(':').unwrap().1;
            assert_eq!(tag.split('.').count(), 3, "{image} is a line and no version");
        }
    }
    for store in ["cassandra", "kafka", "elasticsearch"] {
        let set =
            objects.iter().find(|o| o["kind"] == "StatefulSet" && o["metadata"]["name"] == format!("chat-{store}"));
        let pod = &set.unwrap()["spec"]["template"]["spec"];
        let spread = &pod["topologySpreadConstraints"][0];
        assert_eq!(spread["topologyKey"], "kubernetes.io/hostname");
        assert_eq!(spread["whenUnsatisfiable"], "DoNotSchedule");
        assert_eq!(spread["labelSelector"]["matchLabels"]["app.kubernetes.io/component"], store);
    }
}

#[test]
fn every_object_of_a_distributed_platform_is_restricted_and_isolated() {
    for sample in ["small", "external", "production"] {
        let text = fs::read_to_string(root().join(format!("config/samples/distributed-{sample}.yaml"))).unwrap();
        let chat = render::parse(&text).unwrap().remove(0);
        let objects = render::render(&chat, &Settings::default()).unwrap();
        for object in &objects {
            assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "sentinel-operator", "{object}");
            let Some(pod) = object.pointer("/spec/template/spec") else { continue };
            assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{object}");
            assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            assert_eq!(pod["automountServiceAccountToken"], false);
            let component = &object["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"];
            assert!(
                objects.iter().any(|policy| policy["kind"] == "NetworkPolicy"
                    && policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == *component),
                "{component} has no policy"
            );
            for container in pod["containers"].as_array().unwrap() {
                assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
                assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
                assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
            }
        }
    }
}

fn gateway(spec: &str) -> serde_json::Value {
    let text = format!(
        "apiVersion: chat.sentinel.dev/v1alpha1\nkind: SentinelChat\nmetadata: {{name: chat, namespace: team}}\nspec: {spec}\n"
    );
    let chat = render::parse(&text).unwrap().remove(0);
    let objects = render::render(&chat, &Settings::default()).unwrap();
    objects.into_iter().find(|object| object["kind"] == "Deployment").unwrap()
}

#[test]
fn an_ingress_lets_files_through() {
    let text = fs::read_to_string(root().join("config/samples/embedded-ingress.yaml")).unwrap();
    let chat = render::parse(&text).unwrap().remove(0);
    let objects = render::render(&chat, &Settings::default()).unwrap();
    let ingress = objects.iter().find(|object| object["kind"] == "Ingress").unwrap();
    let annotations = &ingress["metadata"]["annotations"];
    let size = annotations["nginx.ingress.kubernetes.io/proxy-body-size"].as_str().unwrap();
    assert!(size.strip_suffix('m').unwrap().parse::<u32>().unwrap() > 25, "{size}");
}

#[test]
fn more_gateways_are_added_and_do_not_replace_the_first() {
    let (one, three) = (gateway("{gateway: {replicas: 1}}"), gateway("{gateway: {replicas: 3}}"));
    assert_eq!(one["spec"]["template"], three["spec"]["template"]);
}

#[test]
fn a_stopping_gateway_accepts_until_all_nodes_know_and_has_time_to_finish() {
    let gateway = gateway("{}");
    let pod = &gateway["spec"]["template"]["spec"];
    let linger = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_i64().unwrap();
    assert!(linger >= 3, "{linger}");
    assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() > linger + 10);
}
