import Foundation
import Manifest
import TestSupport
import Testing

@testable import Deploy

@Suite struct ComposeTests {
    @Test(arguments: [false, true]) func podmanComposeReadsIt(perFunction: Bool) async throws {
        let manifest = try Samples.product
        let workloads = perFunction ? manifest.functions.map(\.name) : manifest.groups.map(\.name)

        let services = try await Self.config(Samples.compose(perFunction: perFunction), "--services")

        #expect(services.status == 0, "\(services.errors)")
        #expect(
            services.output.split(separator: "\n").map(String.init).sorted()
                == (["postgres", "redis", "migrate", "gateway"] + workloads).sorted()
        )
    }

    @Test func refusesToStartWithoutASecret() async throws {
        let config = try await Self.config(Samples.compose(), "", without: "JWT_SECRET")

        #expect(config.status != 0)
        #expect(config.errors.contains("JWT_SECRET"))
    }

    @Test(arguments: [false, true]) func eachServiceHasTheSecretsOfItsFunctionsAlone(perFunction: Bool) async throws {
        let manifest = try Samples.product
        let services = try await Objects(Samples.compose(perFunction: perFunction)).all[0]["services"]
        let secrets = Set(manifest.variables.filter(\.isSecret).map(\.name))

        for name in services.keys where !["postgres", "redis", "migrate", "gateway"].contains(name) {
            let environment = services[name]["environment"]
            let functions = manifest.functions.filter { (perFunction ? $0.name : $0.group) == name }
            let expected = Set(functions.flatMap(\.uses)).intersection(secrets).union(["METRICS_TOKEN"])
            #expect(Set(environment.keys).intersection(secrets) == expected, "\(name)")
            // Only their names, never values.
            for secret in expected { #expect(environment[secret].text?.contains("${") == true, "\(name) \(secret)") }
        }
        #expect(services["migrate"]["environment"].keys == ["DATABASE_OWNER_URL"])
        #expect(Set(services["gateway"]["environment"].keys).intersection(secrets) == ["METRICS_TOKEN"])
    }

    @Test func startsInTheOrderOfWhatNeedsWhat() async throws {
        let services = try await Objects(Samples.compose()).all[0]["services"]

        #expect(services["migrate"]["depends_on"]["postgres"]["condition"].text == "service_healthy")
        for name in ["api", "workers", "scheduler"] {
            #expect(services[name]["depends_on"]["migrate"]["condition"].text == "service_completed_successfully")
            #expect(services[name]["healthcheck"]["test"].texts.starts(with: ["CMD", "runner", "health", "--ready"]))
            #expect(services[name]["read_only"].isTrue && services[name]["cap_drop"].texts == ["ALL"])
        }
        #expect(services["gateway"]["depends_on"].keys == ["api"])
        #expect(services["api"]["deploy"]["replicas"].number == 2)
    }

    @Test func theExampleNamesEveryVariableThatTheFileAsksFor() throws {
        let files = try Samples.compose()
        let compose = try #require(files.first { $0.path == "compose.yaml" }).text
        let example = try EnvironmentFile.parse(try #require(files.first { $0.path == "env.example" }).text)

        let asked = compose.matches(of: /\$\{([A-Z_]+):\?/).map { String($0.output.1) }

        #expect(Set(asked) == Set(example.keys))
        #expect(Set(example.values) == [""])
    }

    @Test func theRolesAreThoseThatTheMigrationsWant() async throws {
        let roles = try #require(Samples.compose().first { $0.path == "roles.sh" }).text
        let folder = try Samples.folder([DeployFile(path: "roles.sh", text: roles)])
        defer { try? FileManager.default.removeItem(at: folder) }  // a folder that stays is in nobody's way

        let syntax = try await Command.shell("sh -n \(folder.path)/roles.sh")

        #expect(syntax.status == 0, "\(syntax.errors)")
        for words in ["\"delightchat_owner\" LOGIN CREATEROLE", "IN ROLE \"delightchat_app\"", "WITH ADMIN OPTION"] {
            #expect(roles.contains(words))
        }
    }

    /// What podman-compose makes of it; it asks podman for its version first, and for nothing else.
    private static func config(_ files: [DeployFile], _ option: String, without missing: String = "") async throws
        -> Command
    {
        let folder = try Samples.folder(files)
        defer { try? FileManager.default.removeItem(at: folder) }  // a folder that stays is in nobody's way
        let example = try #require(files.first { $0.path == "env.example" }).text
        let values = try EnvironmentFile.parse(example).keys.filter { $0 != missing }.map { "\($0)=filled\n" }.joined()
        try Data(values.utf8).write(to: folder.appending(path: ".env"))
        try Data("#!/bin/sh\necho podman version 4.3.1\n".utf8).write(to: folder.appending(path: "podman"))
        let program = URL(fileURLWithPath: try TestServers.python).deletingLastPathComponent().path + "/podman-compose"
        return try await Command.shell(
            "cd \(folder.path) && chmod +x podman && \(program) --podman-path ./podman -f compose.yaml config \(option)",
            within: .seconds(120)
        )
    }
}
