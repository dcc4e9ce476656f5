import ArgumentParser
import Fleet
import Foundation

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Looks for what keeps this machine from running the product, and says how to mend it.",
        discussion: """
            Status 0 when nothing is in the way, 1 otherwise.

            Example:
              runner doctor
            """
    )

    @OptionGroup var options: BundleOptions

    func run() async throws {
        let bundle = try options.bundle()
        let environment = Bootstrap.withAliases(try bundle.environment(files: [".env"]))
        let port = environment["PORT"].flatMap { Int($0) } ?? 3000
        let state = StateFolder(root: bundle.root.path)
        let checks = Doctor.judge(await Doctor.look(at: state, port: port, environment: environment))
        for check in checks {
            print(
                "\(check.verdict.rawValue.padding(toLength: 5, withPad: " ", startingAt: 0)) \(check.title): \(check.finding)"
            )
            if let remedy = check.remedy { print("      \(remedy)") }
        }
        if checks.contains(where: { $0.verdict == .bad }) { throw ExitCode(1) }
    }
}
