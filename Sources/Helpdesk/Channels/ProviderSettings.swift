import Connectors
import Egress
import Functions

/// Where the providers are: settings of the operator, checked before anything is sent.
package enum ProviderSettings {
    /// What is wrong with them, each as a sentence.
    package static func faults(_ setting: (String) -> String?) -> [String] { Providers.faults(setting) }
}

extension Providers {
    /// The process's one way to the providers.
    static func shared(_ context: WorkContext) throws -> Providers {
        let services = context.services
        let client = services.shared(ProviderClient.self) { ProviderClient(logger: services.logger) }
        return try Providers(client: client, now: services.now) { try context.setting($0) }
    }
}
