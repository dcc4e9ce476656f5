package import Functions

/// Every function of the product: Swift finds no type by its name, so this list leads from functions.yaml to the code.
///
/// `runner check` compares it with functions.yaml both ways.
package enum Registry {
    package static let functions: [any Function.Type] = [
        // Auth
        SignUp.self, LogIn.self, RefreshSession.self, LogOut.self, GetMe.self,
        // Organisations
        GetOrganisation.self, UpdateOrganisation.self,
        // Channels
        CreateChannel.self, ListChannels.self, GetChannel.self, UpdateChannel.self, DeleteChannel.self,
        ListChannelTemplates.self,
        // Tickets
        CreateTicket.self, ListTickets.self, GetTicket.self, UpdateTicket.self, AssignTicket.self, CloseTicket.self,
        ReadTicket.self,
        // Messages
        ListMessages.self, SendMessage.self, ReceiveMessage.self, DeliverMessage.self, SweepWork.self,
        // Webhooks
        VerifyWebhook.self, ReceiveWebhook.self,
        // Events
        StreamEvents.self,
        // Webhook endpoints
        CreateWebhookEndpoint.self, ListWebhookEndpoints.self, GetWebhookEndpoint.self, UpdateWebhookEndpoint.self,
        DeleteWebhookEndpoint.self, RotateWebhookSecret.self, ListWebhookDeliveries.self, ReplayWebhookDelivery.self,
        DeliverWebhooks.self, SweepWebhooks.self,
        // Audit
        ListAuditLogs.self, SummariseAuditLogs.self,
        // Purging
        PurgeExpired.self,
    ]
}
