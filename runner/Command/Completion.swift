import ArgumentParser

struct Completion: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints a script that lets a shell complete this command's words.",
        discussion: """
            Examples:
              source <(runner completion bash)
              runner completion zsh > ~/.zfunc/_runner
              runner completion fish > ~/.config/fish/completions/runner.fish
            """
    )

    @Argument(help: "bash, zsh or fish.")
    var shell: String

    func run() throws {
        guard let known = CompletionShell(rawValue: shell) else {
            throw ValidationError("There is no script for \(shell); there are bash, zsh and fish.")
        }
        print(Runner.completionScript(for: known))
    }
}
