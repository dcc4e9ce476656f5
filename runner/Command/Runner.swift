import ArgumentParser

/// The product's one command.
@main
struct Runner: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "runner",
        abstract: "Hosts the functions of functions.yaml: endpoints, workers and schedules.",
        discussion: """
            Examples:
              runner up                    everything, with a private PostgreSQL and Redis
              runner ps                    what runs of it
              runner logs -f               what that writes
              runner restart               the hosts of it anew, without a failed request
              runner build                 this checkout
              runner check                 what is wrong with functions.yaml
              runner list                  every function and what triggers it
              runner describe send-message its input, limits and an example
              runner openapi               the API's description
              runner queues list           the queues and what waits in them
              runner cron list             the schedules and when they are due
              runner webhooks list         what webhooks told and nobody could understand
              runner simulate whatsapp     a stand-in of the provider on this machine
              runner db status             which migrations have run
              runner deploy kubernetes     files that run it elsewhere
            """,
        version: Version.text,
        subcommands: [
            Up.self, ProcessStatus.self, Logs.self, Restart.self, Build.self, Serve.self, GatewayCommand.self,
            Check.self, List.self,
            Describe.self, Routes.self,
            OpenAPI.self,
            Invoke.self, Health.self, DeployCommand.self, ImageCommand.self,
            Queues.self,
            CronCommand.self, Webhooks.self, Campaigns.self, SimulateCommand.self, Database.self, SchemaOfManifest.self,
            Env.self,
            DoctorCommand.self,
            Bench.self, Completion.self, VersionCommand.self,
        ]
    )
}
