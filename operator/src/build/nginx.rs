//! The gateway's configuration. It runs on NGINX 1.22 and later.
//!
//! The platform is reached through its ClusterIP Service, whose address outlives pods, so no change of a pod needs a
//! reload; nor does a new Service where the cluster's name server is known. What changes here rolls the gateway's pods
//! by the content hash.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::api::core::v1::ConfigMap;

use super::{config::PORT as PLATFORM_PORT, metadata, nginx_errors, nginx_files, nginx_routes};
use crate::{cluster_dns::ClusterDns, names::Component, steps::validate::ValidChat};

/// Port for HTTP.
pub(super) const PORT: i32 = 8080;
/// Port for HTTPS, when the gateway has a certificate.
pub(super) const TLS_PORT: i32 = 8443;
/// Probe of the gateway itself.
pub(super) const HEALTH: &str = "/-/healthz";
/// Entry of the configuration in the ConfigMap.
pub(super) const CONFIG: &str = "nginx.conf";
/// Where NGINX reads the configuration.
pub(super) const CONFIG_PATH: &str = "/etc/nginx/nginx.conf";
/// Folder of the certificate.
pub(super) const CERTIFICATES: &str = "/etc/nginx/certificates";

/// Clients ping every 25 s and wait 20 s for the answer: nothing may be cut off before that.
const SOCKET_TIMEOUT: &str = "90s";
/// Seconds after which a stopping worker closes what is still open: sockets would keep it until it is killed.
pub(super) const SHUTDOWN: i64 = 10;
/// Room for headers of a multipart body, so that the platform's own answer to a large body is seen.
const BODY_SLACK: i64 = 4096;
/// Where Ingress controllers live when nothing else is said.
const PRIVATE_RANGES: [&str; 6] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7"];

/// The certificate that the gateway itself serves: none when an Ingress does.
pub fn own_certificate(chat: &ValidChat) -> Option<&str> {
    let gateway = &chat.spec.gateway;
    gateway.tls.as_ref().filter(|_| gateway.ingress.is_none()).map(|tls| tls.secret.name.as_str())
}

pub(super) fn config_map(chat: &ValidChat) -> ConfigMap {
    ConfigMap {
        metadata: metadata(chat, chat.names.gateway(), Some(Component::Gateway)),
        data: Some(BTreeMap::from([(CONFIG.into(), render(chat))])),
        ..ConfigMap::default()
    }
}

/// Load balancers whose X-Forwarded-For and X-Forwarded-Proto are believed.
fn trusted_proxies(chat: &ValidChat) -> Vec<&str> {
    let gateway = &chat.spec.gateway;
    if !gateway.trusted_proxies.is_empty() {
        return gateway.trusted_proxies.iter().map(String::as_str).collect();
    }
    if gateway.ingress.is_some() { PRIVATE_RANGES.to_vec() } else { Vec::new() }
}

fn render(chat: &ValidChat) -> String {
    let proxies = trusted_proxies(chat);
    let tls = own_certificate(chat).is_some();
    let body = i64::from(chat.spec.limits.body_bytes) + BODY_SLACK;

    // With a proxy in front, its headers tell scheme, client and request; without one, a client
    // that sends them only tries to be somebody else.
    let (scheme, request_id) = if proxies.is_empty() {
        ("default $scheme;", "default $request_id;")
    } else {
        (
            "default $scheme; http http; https https;",
            r#"default $request_id; "~^[A-Za-z0-9._-]{8,64}$" $http_x_request_id;"#,
        )
    };
    let mut real_ip: Vec<String> = proxies.iter().map(|range| format!("  set_real_ip_from {range};\n")).collect();
    if !proxies.is_empty() {
        real_ip.push("  real_ip_header X-Forwarded-For;\n  real_ip_recursive on;\n".into());
    }
    let servers = if tls {
        format!(
            "{}\n{}",
            server(&format!("listen {PORT};"), "", REDIRECT),
            server(&format!("listen {TLS_PORT} ssl;"), &format!("{}{TLS}", limits(body)), ROUTES)
        )
    } else {
        server(&format!("listen {PORT};"), &limits(body), ROUTES)
    };
    let template = TEMPLATE
        .replace("@SCHEME@", scheme)
        .replace("@REQUEST_ID@", request_id)
        .replace("@UPSTREAM@", &if chat.is_distributed() { nginx_routes::upstreams(chat) } else { upstream(chat) })
        .replace("@REAL_IP@", &real_ip.concat())
        .replace("@OWN_ANSWERS@", &nginx_errors::maps(chat))
        .replace("@SOCKET_TIMEOUT@", SOCKET_TIMEOUT)
        .replace("@SHUTDOWN@", &SHUTDOWN.to_string());
    let (pass, socket, locations) = if chat.is_distributed() {
        ("http://$platform", nginx_routes::SOCKET, nginx_routes::LOCATIONS)
    } else if chat.cluster_dns.is_some() {
        ("http://$platform", SOCKET, "")
    } else {
        ("http://sentinel", SOCKET, "")
    };
    format!("{template}{servers}}}\n")
        .replace("@SOCKET@", socket)
        .replace("@LOCATIONS@", locations)
        .replace("@STORED_FILES@", &nginx_files::locations(chat))
        .replace("@PASS@", pass)
        .replace("@ERROR_PAGES@", &nginx_errors::pages("      "))
        .replace("@OWN_HEADERS@", nginx_errors::HEADERS)
        .replace("@HEALTH@", HEALTH)
        .replace("@SOCKET_TIMEOUT@", SOCKET_TIMEOUT)
}

/// How the gateway with this configuration looks names up: only an operator in a pod knows it, and plans are made outside.
pub fn cluster_dns_of(config: &str) -> Option<ClusterDns> {
    let line = config.lines().find_map(|line| line.trim().strip_prefix("resolver "))?;
    let servers: Vec<IpAddr> =
        line.split_whitespace().map_while(|word| word.trim_matches(['[', ']']).parse().ok()).collect();
    let (_, rest) = config.split_once(".svc.")?;
    let (domain, _) = rest.split_once(':')?;
    (!servers.is_empty()).then(|| ClusterDns { servers, domain: domain.to_owned() })
}

/// Where the platform is: looked up when needed, or, where no name server is known, at start.
fn upstream(chat: &ValidChat) -> String {
    let service = format!("{}.{}.svc", chat.names.sentinel(), chat.namespace);
    match &chat.cluster_dns {
        Some(dns) => format!(
            "  resolver {} valid=5s ipv6=off;\n  resolver_timeout 5s;\n  map $uri $platform {{\n    default {service}.{}:{PLATFORM_PORT};\n  }}\n",
            dns.resolver(),
            dns.domain
        ),
        None => format!(
            "  upstream sentinel {{\n    # The only server must never be marked as failed: clients would be refused after the pod is back.\n    server {service}:{PLATFORM_PORT} max_fails=0;\n    keepalive 64;\n  }}\n"
        ),
    }
}

fn limits(body: i64) -> String {
    format!("    client_max_body_size {body};\n")
}

fn server(listen: &str, settings: &str, routes: &str) -> String {
    let errors = nginx_errors::locations();
    format!("  server {{\n    {listen}\n    server_name _;\n{settings}{routes}{errors}  }}\n")
}

const TEMPLATE: &str = r#"# Rendered by the operator; changes are overwritten.
worker_processes 2;
worker_shutdown_timeout @SHUTDOWN@s;
# For all connections below; many container runtimes begin with 1,024.
worker_rlimit_nofile 16500;
pid /tmp/nginx.pid;
# Errors of single requests would carry query strings; the access log has their status.
error_log stderr crit;

events {
  worker_connections 16384;
}

http {
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;

  server_tokens off;
  default_type application/octet-stream;
  # An origin may have 280 characters. This has to come before all maps.
  map_hash_bucket_size 512;

  # Query strings hold session ids and may hold tokens: only the path is logged. It and the method are those that the client
  # wrote: what cannot be read is answered at a path of the gateway's own, as if that had been asked for with GET.
  map $request $asked_method {
    default "";
    "~^(?<verb>[A-Za-z_-]{1,20}) " $verb;
  }
  map $request $asked_path {
    default "";
    "~^[A-Za-z_-]{1,20} +([A-Za-z]+://[^/?# ]*)?(?<path>[^?# ]{0,1000})" $path;
  }
  log_format json escape=json '{"time":"$time_iso8601","request_id":"$trace_id","client":"$remote_addr",'
    '"method":"$asked_method","path":"$asked_path","status":$status,"bytes":$body_bytes_sent,'
    '"seconds":$request_time,"upstream_seconds":"$upstream_response_time","user_agent":"$http_user_agent"}';
  map $uri $loggable {
    default 1;
    @HEALTH@ 0;
  }
  access_log /dev/stdout json if=$loggable;

  map $http_upgrade $connection_header {
    default upgrade;
    "" "";
  }
  map $http_x_forwarded_proto $forwarded_proto {
    @SCHEME@
  }
  map $http_x_request_id $trace_id {
    @REQUEST_ID@
  }
  # Pages bring a policy of their own, which a second one would only repeat.
  map $upstream_http_content_security_policy $content_policy {
    default "";
    "" "frame-ancestors 'none'";
  }
  map $forwarded_proto $strict_transport {
    default "";
    https "max-age=31536000";
  }

@REAL_IP@
@UPSTREAM@
@OWN_ANSWERS@
  client_header_timeout 15s;
  client_body_timeout 30s;
  # Nothing that passes through is to reach a disk, or to gather in memory, which anybody could fill with bodies that never
  # end: a body goes on as it comes, to the platform, which knows whose it is and limits its size, its time and how much of
  # such bodies is held for one caller. An address may be a whole office's or a load balancer's, with thousands of sockets:
  # no number of connections from one tells an attack. A body that came along with its head is still passed on in one piece.
  # Answers are taken from the platform no faster than the client takes them.
  proxy_request_buffering off;
  client_body_buffer_size 16k;
  large_client_header_buffers 2 16k;
  proxy_buffer_size 4k;
  proxy_buffers 4 4k;
  proxy_max_temp_file_size 0;
  keepalive_timeout 75s;
  send_timeout @SOCKET_TIMEOUT@;
  gzip off;

  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_header;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $forwarded_proto;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Request-Id $trace_id;
  proxy_set_header X-Real-IP "";
  proxy_set_header Forwarded "";
  proxy_connect_timeout 5s;
  proxy_read_timeout @SOCKET_TIMEOUT@;
  proxy_send_timeout @SOCKET_TIMEOUT@;
  # A request that may have been carried out is never sent twice, nor is one whose body has been passed on in part. One that
  # found no connection is, where there is another address.
  proxy_next_upstream error;
  proxy_next_upstream_tries 2;

  add_header X-Content-Type-Options nosniff always;
  add_header Referrer-Policy no-referrer always;
  add_header Content-Security-Policy $content_policy always;
  add_header Strict-Transport-Security $strict_transport always;
  proxy_hide_header X-Content-Type-Options;
  proxy_hide_header Referrer-Policy;

"#;

const TLS: &str = "    ssl_certificate /etc/nginx/certificates/tls.crt;
    ssl_certificate_key /etc/nginx/certificates/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:4m;
    ssl_session_timeout 1h;
    ssl_session_tickets off;
";

const SOCKET: &str = "      proxy_pass @PASS@;
";

const REDIRECT: &str = r"
    location = @HEALTH@ {
      default_type text/plain;
      return 200 'ok';
    }
    location / {
      return 308 https://$host$request_uri;
    }
";

const ROUTES: &str = r"
    location = @HEALTH@ {
      default_type text/plain;
      return 200 'ok';
    }

    # Probes and metrics of the platform are not for clients.
    location ~ ^/(healthz|readyz|metrics)(/|$) {
      return 404;
    }

    location /socket.io/ {
      proxy_buffering off;
@SOCKET@    }
@LOCATIONS@@STORED_FILES@
    location / {
      proxy_pass @PASS@;
    }
";
