//! Which service the gateway sends a request to, in profile Distributed.
//!
//! There is no stickiness: the message service puts the number of the pod in front of the session id, so that a request
//! with one goes straight to that pod, whichever gateway it came through. Requests without one go to any replica, and a
//! replica that gets another one's passes it on. Pods are looked up when needed: none that comes or goes needs a reload.

use super::{
    config::PORT,
    nginx_files,
    services::{self, Path},
};
use crate::{names::Component, steps::validate::ValidChat};

/// Inside of the location of sockets.
pub(super) const SOCKET: &str = "      proxy_pass http://$socket_server;
      recursive_error_pages on;
      error_page 502 503 504 = @socket_lost;
@ERROR_PAGES@";

/// What becomes of a request for a pod that does not answer.
///
/// Where no connection was made, the address may be that of the pod's predecessor, which name servers remember for a
/// while: another replica passes the request on, or is the one. Else the request may have been carried out, and is not
/// sent twice; nor is one with a body, of which only what has come by then could be sent on. What clients get in the end is
/// the answer to an unknown session, upon which they begin a new one.
pub(super) const LOCATIONS: &str = r#"
    location @socket_lost {
      internal;
      recursive_error_pages on;
      error_page 502 503 504 = @session_lost;
@ERROR_PAGES@      if ($socket_retry = 0) {
        return 504;
      }
      proxy_buffering off;
      proxy_pass http://$message;
    }
    location @session_lost {
      internal;
      types { }
      default_type application/json;
      error_page 503 @problem;
@OWN_HEADERS@      if ($arg_sid = "") {
        return 503;
      }
      return 400 '{"code":1,"message":"Session ID unknown"}';
    }
"#;

/// Upstreams of all services, and the maps that choose among them.
pub(super) fn upstreams(chat: &ValidChat) -> String {
    let users = target(chat, Component::Users);
    let message = target(chat, Component::Message);
    let routes = services::of(chat).iter().flat_map(|service| {
        let target = target(chat, service.component);
        service.paths.iter().map(move |path| match path {
            Path::Exact(path) => format!("    {path} {target};\n"),
            Path::Below(path) => format!("    \"~^{}(/|$)\" {target};\n", path.replace('.', "[.]")),
        })
    });
    [
        servers(chat),
        format!("  map $uri $platform {{\n    default {users};\n"),
        routes.collect(),
        "  }\n".into(),
        nginx_files::upstream(chat),
        // A map, because only a variable is looked up when it is needed.
        format!("  map $host $message {{\n    default {message};\n  }}\n"),
        format!("  map $arg_sid $socket_server {{\n    default {message};\n{}  }}\n", pod(chat)),
        // A dash in the place of the last attempt's time: no connection was made.
        "  map \"$request_method $upstream_connect_time\" $socket_retry {\n    default 0;\n    \"~^(GET|OPTIONS) .*-$\" 1;\n  }\n".into(),
    ]
    .concat()
}

/// What `proxy_pass` calls a service.
fn target(chat: &ValidChat, component: Component) -> String {
    match &chat.cluster_dns {
        Some(dns) => in_domain(&format!("{}:{PORT}", service(chat, component)), &dns.domain),
        None => component.as_str().to_owned(),
    }
}

/// A Service's `name:port` with the cluster's domain, which NGINX does not add when it looks names up.
pub(super) fn in_domain(address: &str, domain: &str) -> String {
    let (host, port) = address.split_once(':').unwrap_or((address, "80"));
    format!("{host}.{domain}:{port}")
}

fn service(chat: &ValidChat, component: Component) -> String {
    format!("{}.{}.svc", chat.names.component(component), chat.namespace)
}

/// How names are looked up: where no name server is known, once, at start.
fn servers(chat: &ValidChat) -> String {
    if let Some(dns) = &chat.cluster_dns {
        return format!("  resolver {} valid=5s ipv6=off;\n  resolver_timeout 5s;\n", dns.resolver());
    }
    let upstream = |component: Component| {
        let (name, service) = (component.as_str(), service(chat, component));
        format!(
            "  upstream {name} {{\n    # The only server must never be marked as failed: clients would be refused after the pods are back.\n    server {service}:{PORT} max_fails=0;\n    keepalive 32;\n  }}\n"
        )
    };
    services::of(chat).iter().map(|service| upstream(service.component)).collect()
}

/// The pod that a session id names: nothing where pods cannot be looked up, as any replica passes requests on.
fn pod(chat: &ValidChat) -> String {
    let Some(dns) = &chat.cluster_dns else { return String::new() };
    let (set, pods) = (chat.names.workload(Component::Message), chat.names.pods(Component::Message));
    format!(
        "    \"~^(?<pod>0|[1-9][0-9]{{0,2}})[.]\" {set}-$pod.{pods}.{}.svc.{}:{PORT};\n",
        chat.namespace, dns.domain
    )
}
