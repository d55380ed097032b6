//! What to do next, once everything is up.

use super::sample::Sample;
use crate::cluster::State;
use crate::say;

/// Prints the base URL and lines to try.
pub fn print(state: &State, chat: &Sample, port: u16) {
    say!("{}", text(&state.kubeconfig().to_string_lossy(), state.name(), chat, port));
}

/// What `make` must be told to mean the cluster of this name.
pub fn name_option(name: &str) -> String {
    if name == "sentinel" { String::new() } else { format!(" NAME={name}") }
}

fn text(kubeconfig: &str, name: &str, chat: &Sample, port: u16) -> String {
    let Sample { namespace, name: instance, .. } = chat;
    let option = name_option(name);
    format!(
        r#"
  chat      http://127.0.0.1:{port}  (in a browser)
  API       http://127.0.0.1:{port}/docs

register a user:
  curl -s http://127.0.0.1:{port}/register -H 'content-type: application/json' \
    -d '{{"username":"ada","password":"correct horse battery staple","email":"ada@example.org"}}'

look around:
  export KUBECONFIG={kubeconfig}
  kubectl -n {namespace} get schat {instance}
  kubectl -n {namespace} describe schat {instance}
  kubectl -n {namespace} get pods
  kubectl -n sentinel-system logs deploy/sentinel-operator
  less docs/cluster.md docs/operations.md

take it down:
  make down{option}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_names_where_things_are() {
        let chat = Sample { namespace: "chat".to_owned(), name: "demo".to_owned(), text: String::new() };
        let text = text("/state/kubeconfig", "dev", &chat, 8081);
        for part in ["http://127.0.0.1:8081", "KUBECONFIG=/state/kubeconfig", "get schat demo", "make down NAME=dev"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
