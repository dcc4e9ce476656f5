import Fleet
import Foundation

extension ReloadTools {
    /// The tools of a checkout: `swift build`, and `check` and `db migrate` of the program that it makes.
    ///
    /// In tests `RUNNER_BUILD` is a line for the shell in the place of `swift build`; it finds the checkout as `$1`.
    init(root: String, isRelease: Bool, environment: [String: String]) throws {
        guard let executable = Checkout.executable else { throw FleetError("can't find my own executable") }
        let isRelease = isRelease || executable.hasSuffix("/release/runner")
        let configuration = isRelease ? "release" : "debug"
        let manifest = "\(root)/functions.yaml"
        self.init(
            executable: executable,
            product: "\(root)/.build/\(configuration)/runner",
            build: {
                var build = Launch(
                    name: "build",
                    executable: "/usr/bin/env",
                    arguments: ["swift"] + Build.arguments(root: root, isRelease: isRelease),
                    environment: environment
                )
                if let line = environment["RUNNER_BUILD"], !line.isEmpty {
                    (build.executable, build.arguments) = ("/bin/sh", ["-c", line, "sh", root])
                }
                // It ends its compilers on this signal; killed, it would leave them.
                build.deathSignal = "INT"
                return build
            },
            check: { program in
                Launch(
                    name: "check",
                    executable: program,
                    arguments: ["check", "-f", manifest],
                    environment: environment
                )
            },
            migrate: { program, addresses in
                var environment = environment
                environment["DATABASE_URL"] = addresses.database
                environment["DATABASE_OWNER_URL"] = addresses.databaseOwner
                return Launch(
                    name: "migrate",
                    executable: program,
                    arguments: ["db", "migrate", "-f", manifest],
                    environment: environment
                )
            }
        )
    }
}
