package main

import "github.com/roomspa/roomspa/internal/tool/adopt"

// tableNames is a flag for each name of the predecessor's tables and columns.
type tableNames struct {
	UsersTable   string `default:"app_user" env:"-" group:"Its tables" help:"Table, or view, of the users."`
	UserID       string `name:"user-id" default:"id" env:"-" group:"Its tables" help:"Column of their ids."`
	UserEmail    string `default:"email" env:"-" group:"Its tables" help:"Column of their e-mail addresses."`
	UserPhone    string `default:"phone" env:"-" group:"Its tables" help:"Column of their phone numbers; it may be missing."`
	UserRole     string `default:"role" env:"-" group:"Its tables" help:"Column of their roles."`
	UserActive   string `default:"is_active" env:"-" group:"Its tables" help:"Column that says whether they are active."`
	UserPassword string `default:"password" env:"-" group:"Its tables" help:"Column of their password hashes."`
	UserJoined   string `default:"date_joined" env:"-" group:"Its tables" help:"Column that says since when they are there; it may be missing."`

	ConversationsTable    string `default:"chat_conversation" env:"-" group:"Its tables" help:"Table of the conversations."`
	ConversationID        string `name:"conversation-id" default:"id" env:"-" group:"Its tables" help:"Column of their ids."`
	ConversationCustomer  string `default:"customer_id" env:"-" group:"Its tables" help:"Column of the customer."`
	ConversationTherapist string `default:"therapist_id" env:"-" group:"Its tables" help:"Column of the therapist."`
	ConversationCreated   string `default:"created_at" env:"-" group:"Its tables" help:"Column that says when they began; it may be missing."`

	MessagesTable       string `default:"chat_message" env:"-" group:"Its tables" help:"Table of the messages."`
	MessageID           string `name:"message-id" default:"id" env:"-" group:"Its tables" help:"Column of their ids."`
	MessageConversation string `default:"conversation_id" env:"-" group:"Its tables" help:"Column of the conversation."`
	MessageSender       string `default:"sender_id" env:"-" group:"Its tables" help:"Column of the sender."`
	MessageText         string `default:"message" env:"-" group:"Its tables" help:"Column of the text."`
	MessageCreated      string `default:"created_at" env:"-" group:"Its tables" help:"Column that says when they were sent."`
}

func (n *tableNames) tables() adopt.Tables {
	return adopt.Tables{
		Users: n.UsersTable, UserID: n.UserID, UserEmail: n.UserEmail, UserPhone: n.UserPhone, UserJoined: n.UserJoined,
		UserRole: n.UserRole, UserActive: n.UserActive, UserPassword: n.UserPassword,
		Conversations: n.ConversationsTable, ConversationID: n.ConversationID, ConversationCustomer: n.ConversationCustomer,
		ConversationTherapist: n.ConversationTherapist, ConversationCreated: n.ConversationCreated,
		Messages: n.MessagesTable, MessageID: n.MessageID, MessageConversation: n.MessageConversation,
		MessageSender: n.MessageSender, MessageText: n.MessageText, MessageCreated: n.MessageCreated,
	}
}
