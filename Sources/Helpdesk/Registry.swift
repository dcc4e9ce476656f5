package import Functions

/// Every function of the product: Swift finds no type by its name, so this list leads from functions.yaml to the code.
///
/// `runner check` compares it with functions.yaml both ways.
package enum Registry {
    package static let functions: [any Function.Type] = [
        // Auth
        SignUp.self, LogIn.self, RefreshSession.self, LogOut.self, GetMe.self, AcceptInvite.self,
        ForgotPassword.self, ResetPassword.self, ChangePassword.self,
        // Organisations
        GetOrganisation.self, UpdateOrganisation.self,
        // Users
        ListUsers.self, UpdateUser.self, DeactivateUser.self, ReactivateUser.self, CreateInvite.self,
        ListInvites.self, RevokeInvite.self, ExpireInvites.self,
        // Mail
        DeliverMail.self,
        // Channels
        CreateChannel.self, ListChannels.self, GetChannel.self, UpdateChannel.self, DeleteChannel.self,
        ListChannelTemplates.self, SyncTemplates.self, RenewTokens.self,
        // Tickets
        CreateTicket.self, ListTickets.self, GetTicket.self, UpdateTicket.self, AssignTicket.self, CloseTicket.self,
        ReadTicket.self,
        // Messages
        ListMessages.self, SendMessage.self, ReceiveMessage.self, ApplyChange.self, DeliverMessage.self,
        SweepWork.self,
        // Contacts
        ListContacts.self, GetContact.self, UpdateContact.self, ListContactTickets.self, MergeContacts.self,
        EraseContact.self, FinishErasures.self,
        // Attachments
        GetAttachment.self, FetchAttachments.self, SweepAttachments.self,
        // Macros
        ListMacros.self, CreateMacro.self, UpdateMacro.self, DeleteMacro.self,
        // API keys
        CreateApiKey.self, ListApiKeys.self, DeleteApiKey.self,
        // Campaigns
        CreateCampaign.self, ListCampaigns.self, GetCampaign.self, AddRecipients.self, ListRecipients.self,
        StartCampaign.self, PauseCampaign.self, ResumeCampaign.self, CancelCampaign.self, GetCampaignStats.self,
        RehearseCampaign.self, ExportCampaignResults.self, SendCampaignBatch.self, StartCampaigns.self,
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
        // Analytics
        GetTicketAnalytics.self, GetChannelAnalytics.self, GetCampaignAnalytics.self, GetAgentAnalytics.self,
        RollUpAnalytics.self,
        // Purging
        PurgeExpired.self,
    ]
}
