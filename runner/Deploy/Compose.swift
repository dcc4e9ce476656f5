import Manifest

/// A deployment as a Compose file for one machine, with its PostgreSQL and Redis.
///
/// Secrets come from an env file (`.env` beside it, or `docker compose --env-file FILE`) by their names: each service is
/// handed what its functions use, which `env_file:` couldn't do from a single file.
package struct Compose: Sendable {
    let deployment: Deployment

    package init(_ deployment: Deployment) {
        self.deployment = deployment
    }

    package var files: [DeployFile] {
        [
            DeployFile(path: "compose.yaml", form: "compose", remark: Self.remark, [document]),
            DeployFile(path: "roles.sh", text: roles),
            DeployFile(path: "env.example", text: example),
        ]
    }

    private static let remark = """
        Copy env.example to .env and fill it in, then: docker compose up --detach --wait
        Or, where it lies elsewhere: docker compose --env-file FILE up --detach --wait
        """

    private var document: YAML {
        var services: [(key: String, value: YAML)] = [
            ("postgres", postgres), ("redis", redis), ("migrate", migrate), ("gateway", gateway),
        ]
        services += deployment.workloads.map { ($0.name, host($0)) }
        return [
            "name": .text(deployment.product),
            "services": .mapping(services),
            "volumes": [
                "postgres": [:],
                "redis": [:],
                "shared": .remarked("what all processes have in common, such as ATTACHMENTS_URL=file:/shared", [:]),
            ],
        ]
    }

    // MARK: Engines

    private var postgres: YAML {
        [
            "image": "postgres:15",
            "environment": [
                "POSTGRES_PASSWORD": Self.secret("POSTGRES_PASSWORD"),
                "OWNER_PASSWORD": Self.secret("OWNER_PASSWORD"),
                "DATABASE_PASSWORD": Self.secret("DATABASE_PASSWORD"),
            ],
            "volumes": [
                "postgres:/var/lib/postgresql/data", "./roles.sh:/docker-entrypoint-initdb.d/roles.sh:ro",
            ],
            "shm_size": "256m",
            "restart": "unless-stopped",
            "stop_grace_period": "60s",
            "healthcheck": .remarked(
                "By TCP: while the roles are being made, PostgreSQL listens on its socket alone.",
                check(["pg_isready", "-h", "127.0.0.1", "-U", "postgres", "-d", "\(deployment.product)"])
            ),
        ]
    }

    /// Acknowledged webhooks lie in Redis alone until their rows are written, so it keeps every write.
    private var redis: YAML {
        [
            "image": "redis:7",
            "command": [
                "redis-server", "--requirepass", Self.secret("REDIS_PASSWORD"), "--appendonly", "yes",
                "--appendfsync", "always", "--maxmemory-policy", "noeviction",
            ],
            "environment": ["REDISCLI_AUTH": Self.secret("REDIS_PASSWORD")],
            "volumes": ["redis:/data"],
            "restart": "unless-stopped",
            "stop_grace_period": "60s",
            "healthcheck": check(["sh", "-c", "redis-cli ping | grep -q PONG"]),
        ]
    }

    private static func secret(_ name: String) -> YAML { "${\(name):?is not set}" }

    // MARK: Ours

    private var migrate: YAML {
        container(
            ["db", "migrate"],
            environment: [
                (
                    Deployment.ownerVariable,
                    "postgres://\(deployment.product)_owner:${OWNER_PASSWORD:?is not set}@postgres:5432/\(deployment.product)"
                )
            ],
            more: [
                ("restart", "on-failure"),
                ("depends_on", ["postgres": ["condition": "service_healthy"]]),
                ("healthcheck", ["disable": true]),
            ]
        )
    }

    private var gateway: YAML {
        let called = deployment.workloads.filter(\.hasRequests)
        return container(
            deployment.gatewayArguments,
            environment: environment(deployment.gatewayVariables),
            more: [
                ("ports", ["${PORT:-3000}:\(Deployment.gatewayPort)"]),
                ("restart", "unless-stopped"),
                ("stop_grace_period", "\(deployment.gatewayDrain)s"),
                ("depends_on", .mapping(called.map { ($0.name, ["condition": "service_healthy"]) })),
                ("healthcheck", check(["runner", "health", "--port", "\(Deployment.gatewayPort)"])),
            ]
        )
    }

    private func host(_ workload: Workload) -> YAML {
        let isSharing = workload.variables.contains(where: \.isShared)
        return container(
            deployment.arguments(of: workload),
            environment: environment(workload.variables),
            more: [
                ("volumes", isSharing ? ["shared:/shared"] : nil),
                ("restart", "unless-stopped"),
                ("stop_grace_period", "\(workload.drain)s"),
                ("deploy", workload.least > 1 ? ["replicas": .number(workload.least)] : nil),
                (
                    "depends_on",
                    [
                        "migrate": ["condition": "service_completed_successfully"],
                        "redis": ["condition": "service_healthy"],
                    ]
                ),
                ("healthcheck", check(["runner", "health", "--ready", "--port", "\(Deployment.hostPort)"])),
            ]
        )
    }

    /// A secret as a service gets it: the addresses of the engines here are made of their passwords.
    private func handed(_ secret: Variable) -> (String, YAML) {
        switch secret.name {
        case "DATABASE_URL":
            (
                secret.name,
                "postgres://\(deployment.product)_api:${DATABASE_PASSWORD:?is not set}@postgres:5432/\(deployment.product)"
            )
        case "REDIS_URL": (secret.name, "redis://:${REDIS_PASSWORD:?is not set}@redis:6379/0")
        default:
            (
                secret.name,
                secret.isRequired || secret.isShared ? Self.secret(secret.name) : "${\(secret.name):-}"
            )
        }
    }

    private func container(
        _ arguments: [String],
        environment: [(String, YAML)],
        more: [(String, YAML?)]
    ) -> YAML {
        let rest = more.compactMap { key, value in value.map { (key: key, value: $0) } }
        let common: [(key: String, value: YAML)] = [
            ("image", .text(deployment.image)),
            ("command", .list(arguments.map { .text(Self.plain($0)) })),
        ]
        let variables: [(key: String, value: YAML)] =
            environment.isEmpty ? [] : [("environment", .mapping(environment.map { (key: $0.0, value: $0.1) }))]
        return .mapping(
            common + variables + rest + [
                ("read_only", true),
                ("tmpfs", ["/tmp"]),
                ("cap_drop", ["ALL"]),
                ("security_opt", ["no-new-privileges:true"]),
            ]
        )
    }

    private func environment(_ variables: [Variable]) -> [(String, YAML)] {
        deployment.settings(of: variables).map { ($0.name, .text(Self.plain($0.value))) }
            + variables.filter(\.isSecret).map(handed)
    }

    /// Compose reads a `$` as the begin of a variable.
    private static func plain(_ text: String) -> String { text.replacing("$", with: "$$") }

    private func check(_ command: [String]) -> YAML {
        [
            "test": .list([.text("CMD")] + command.map { .text($0) }),
            "interval": "10s",
            "timeout": "5s",
            "retries": 6,
            "start_period": "60s",
            "start_interval": "1s",
        ]
    }

    // MARK: Beside it

    /// Run once by the image of PostgreSQL, when its volume is new.
    private var roles: String {
        let product = deployment.product
        return """
            #!/bin/sh
            # The database's roles: the owner migrates, the other one serves and is bound by row-level security.
            set -e
            psql -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d postgres \\
                -v owner="$OWNER_PASSWORD" -v api="$DATABASE_PASSWORD" <<'END'
            CREATE ROLE "\(product)_owner" LOGIN CREATEROLE PASSWORD :'owner';
            CREATE ROLE "\(product)_app" NOLOGIN;
            CREATE ROLE "\(product)_api" LOGIN PASSWORD :'api' IN ROLE "\(product)_app";
            GRANT "\(product)_app" TO "\(product)_owner" WITH ADMIN OPTION;
            CREATE DATABASE "\(product)" OWNER "\(product)_owner";
            END

            """
    }

    /// Names without values.
    private var example: String {
        var text = """
            # Copy to .env and fill in. Passwords stand in addresses: letters and digits only. A folder that all processes need
            # must be /shared or below it: that is a volume which they have in common.

            """
        for (name, doc) in [
            ("POSTGRES_PASSWORD", "PostgreSQL's superuser, whom nothing here uses"),
            ("OWNER_PASSWORD", "the database's owner, who migrates"),
            ("DATABASE_PASSWORD", "the application's role"),
            ("REDIS_PASSWORD", "Redis"),
        ] {
            text += "\n# \(doc)\n\(name)=\n"
        }
        var known: Set<String> = ["DATABASE_URL", "REDIS_URL"]
        for secret in deployment.workloads.flatMap(\.secrets) where known.insert(secret.name).inserted {
            let isNeeded = secret.isRequired || secret.isShared
            text += "\n# \(secret.doc ?? "")\n\(isNeeded ? "" : "#")\(secret.name)=\n"
        }
        return text
    }
}
