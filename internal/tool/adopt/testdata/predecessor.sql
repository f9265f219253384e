CREATE TABLE public.app_user (
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    is_superuser boolean NOT NULL,
    username character varying(150) NOT NULL,
    first_name character varying(150) NOT NULL,
    last_name character varying(150) NOT NULL,
    email character varying(254) NOT NULL,
    is_staff boolean NOT NULL,
    is_active boolean NOT NULL,
    date_joined timestamp with time zone NOT NULL,
    id bigint NOT NULL,
    phone character varying(32),
    role character varying(16) NOT NULL
);
CREATE TABLE public.app_user_groups (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    group_id integer NOT NULL
);
CREATE SEQUENCE public.app_user_groups_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.app_user_groups_id_seq OWNED BY public.app_user_groups.id;
CREATE SEQUENCE public.app_user_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.app_user_id_seq OWNED BY public.app_user.id;
CREATE TABLE public.app_user_user_permissions (
    id bigint NOT NULL,
    user_id bigint NOT NULL,
    permission_id integer NOT NULL
);
CREATE SEQUENCE public.app_user_user_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.app_user_user_permissions_id_seq OWNED BY public.app_user_user_permissions.id;
CREATE TABLE public.auth_group (
    id integer NOT NULL,
    name character varying(150) NOT NULL
);
CREATE SEQUENCE public.auth_group_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.auth_group_id_seq OWNED BY public.auth_group.id;
CREATE TABLE public.auth_group_permissions (
    id integer NOT NULL,
    group_id integer NOT NULL,
    permission_id integer NOT NULL
);
CREATE SEQUENCE public.auth_group_permissions_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.auth_group_permissions_id_seq OWNED BY public.auth_group_permissions.id;
CREATE TABLE public.auth_permission (
    id integer NOT NULL,
    name character varying(255) NOT NULL,
    content_type_id integer NOT NULL,
    codename character varying(100) NOT NULL
);
CREATE SEQUENCE public.auth_permission_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.auth_permission_id_seq OWNED BY public.auth_permission.id;
CREATE TABLE public.chat_conversation (
    id uuid NOT NULL,
    customer_id bigint NOT NULL,
    therapist_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.chat_message (
    id uuid NOT NULL,
    conversation_id uuid,
    sender_id bigint NOT NULL,
    message text NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.django_content_type (
    id integer NOT NULL,
    app_label character varying(100) NOT NULL,
    model character varying(100) NOT NULL
);
CREATE SEQUENCE public.django_content_type_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.django_content_type_id_seq OWNED BY public.django_content_type.id;
CREATE TABLE public.django_migrations (
    id bigint NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.django_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.django_migrations_id_seq OWNED BY public.django_migrations.id;
ALTER TABLE ONLY public.app_user ALTER COLUMN id SET DEFAULT nextval('public.app_user_id_seq'::regclass);
ALTER TABLE ONLY public.app_user_groups ALTER COLUMN id SET DEFAULT nextval('public.app_user_groups_id_seq'::regclass);
ALTER TABLE ONLY public.app_user_user_permissions ALTER COLUMN id SET DEFAULT nextval('public.app_user_user_permissions_id_seq'::regclass);
ALTER TABLE ONLY public.auth_group ALTER COLUMN id SET DEFAULT nextval('public.auth_group_id_seq'::regclass);
ALTER TABLE ONLY public.auth_group_permissions ALTER COLUMN id SET DEFAULT nextval('public.auth_group_permissions_id_seq'::regclass);
ALTER TABLE ONLY public.auth_permission ALTER COLUMN id SET DEFAULT nextval('public.auth_permission_id_seq'::regclass);
ALTER TABLE ONLY public.django_content_type ALTER COLUMN id SET DEFAULT nextval('public.django_content_type_id_seq'::regclass);
ALTER TABLE ONLY public.django_migrations ALTER COLUMN id SET DEFAULT nextval('public.django_migrations_id_seq'::regclass);
INSERT INTO public.app_user VALUES
	('pbkdf2_sha256$260000$rtcs4zGOMMjSBEI8xEMDbB$sBQkRzTBPTtNGfX8YCs8neh5+YU1PN+nZnlXg6oEObI=', NULL, false, 'user1', '', '', 'ann@example.com', false, true, '2024-05-17 12:00:00+00', 1, '+43660111', 'customer'),
	('pbkdf2_sha256$260000$aabENZHQwpFof1Toqj6uWU$uR/+ukMa9fOzl3zAGw7PL4apdSj+7nNNe9j0Kx4Hggo=', NULL, false, 'user2', '', '', 'Ben@Example.com', false, true, '2024-05-17 12:00:00+00', 2, '+43660222', 'therapist'),
	('pbkdf2_sha256$260000$8fEgVOL3Gv40kwEc89XFoh$2KZ0giQl9FwQIge309/WjgtKYnAx0p9D/trWKvJmidw=', NULL, false, 'user3', '', '', 'cara@example.com', false, true, '2024-05-17 12:00:00+00', 3, NULL, 'client'),
	('pbkdf2_sha256$260000$JGXvjYcBUYfwN0FMXMwCrd$s3QiMrKHlJ83jHV6Dh2v+8nKc2lKcQMjwKh9aG9Df20=', NULL, false, 'user4', '', '', 'dora@example.com', false, true, '2024-05-17 12:00:00+00', 4, NULL, 'therapist'),
	('pbkdf2_sha256$260000$CMUGnsf8hynom7sKlxxkGS$lMjfr7Q8Sv7izP9utHA4Ps3cym2mv8bfeWoRtuslBV8=', NULL, false, 'user5', '', '', 'ANN@example.com', false, true, '2024-05-17 12:00:00+00', 5, NULL, 'customer'),
	('!x1wnn5AwHmE7U6AGuOeWz6ivshpZmQE4Rq8N6TZ9', NULL, false, 'user6', '', '', 'robot@example.com', false, true, '2024-05-17 12:00:00+00', 6, NULL, 'robot'),
	('pbkdf2_sha256$260000$pW8IGcPrMIf7BN2Uma7GqQ$hYZ7LZokYd4+1tggJkOGQLC0JCuJCh4x54Uq0DeG5A0=', NULL, false, 'user7', '', '', '', false, true, '2024-05-17 12:00:00+00', 7, '+43660777', 'customer'),
	('pbkdf2_sha256$260000$ipeU2VfBIgissoVZ25J3z4$SKJvBYp0djbjXDUFfnGMpzDBdc1/QlEcgqH9j+c8Lqg=', NULL, false, 'user8', '', '', 'gone@example.com', false, false, '2024-05-17 12:00:00+00', 8, NULL, 'customer'),
	('pbkdf2_sha256$260000$3aFYwjCaXdzqOJ3OWQdsfY$DBDOwHl7w2aKn09fvfKSHN5IJ7N0zB8PS4egwB+9ZBE=', NULL, false, 'user9', '', '', 'sue@example.com', false, true, '2024-05-17 12:00:00+00', 9, NULL, 'support'),
	('!trI2ET2ixcYMFcEuvGbDl2AHKDVss78IGhmI36cg', NULL, false, 'user10', '', '', 'same-phone@example.com', false, true, '2024-05-17 12:00:00+00', 10, '+43660111', 'customer'),
	('bcrypt_sha256$$2b$12$abcdefghijklmnopqrstuv', NULL, false, 'user11', '', '', 'odd@example.com', false, true, '2024-05-17 12:00:00+00', 11, NULL, 'customer'),
	('!vAwyWuH7JAip2pBRUJhisLaWffu5qCa8CUadmmX4', NULL, false, 'user9007199254740992', '', '', 'far@example.com', false, true, '2024-05-17 12:00:00+00', 9007199254740992, NULL, 'customer');
INSERT INTO public.auth_permission VALUES
	(1, 'Can add permission', 1, 'add_permission'),
	(2, 'Can change permission', 1, 'change_permission'),
	(3, 'Can delete permission', 1, 'delete_permission'),
	(4, 'Can view permission', 1, 'view_permission'),
	(5, 'Can add group', 2, 'add_group'),
	(6, 'Can change group', 2, 'change_group'),
	(7, 'Can delete group', 2, 'delete_group'),
	(8, 'Can view group', 2, 'view_group'),
	(9, 'Can add content type', 3, 'add_contenttype'),
	(10, 'Can change content type', 3, 'change_contenttype'),
	(11, 'Can delete content type', 3, 'delete_contenttype'),
	(12, 'Can view content type', 3, 'view_contenttype'),
	(13, 'Can add user', 4, 'add_user'),
	(14, 'Can change user', 4, 'change_user'),
	(15, 'Can delete user', 4, 'delete_user'),
	(16, 'Can view user', 4, 'view_user'),
	(17, 'Can add conversation', 5, 'add_conversation'),
	(18, 'Can change conversation', 5, 'change_conversation'),
	(19, 'Can delete conversation', 5, 'delete_conversation'),
	(20, 'Can view conversation', 5, 'view_conversation'),
	(21, 'Can add message', 6, 'add_message'),
	(22, 'Can change message', 6, 'change_message'),
	(23, 'Can delete message', 6, 'delete_message'),
	(24, 'Can view message', 6, 'view_message');
INSERT INTO public.chat_conversation VALUES
	('00000000-0000-0000-0000-00000000c001', 1, 2, '2024-05-17 12:00:00+00'),
	('00000000-0000-0000-0000-00000000c002', 3, 4, '2024-05-17 12:00:00+00'),
	('00000000-0000-0000-0000-00000000c003', 1, 4, '2024-05-17 12:00:00+00'),
	('00000000-0000-0000-0000-00000000c004', 1, 4, '2024-05-17 12:00:00+00'),
	('00000000-0000-0000-0000-00000000c005', 2, 4, '2024-05-17 12:00:00+00'),
	('00000000-0000-0000-0000-00000000c006', 5, 2, '2024-05-17 12:00:00+00');
INSERT INTO public.chat_message VALUES
	('00000000-0000-0000-0000-00000001ffff', '00000000-0000-0000-0000-00000000c001', 1, 'first', '2024-05-17 12:01:00+00'),
	('00000000-0000-0000-0000-00000001fffe', '00000000-0000-0000-0000-00000000c001', 2, 'third ✓', '2024-05-17 12:03:00.000001+00'),
	('00000000-0000-0000-0000-00000001fffd', '00000000-0000-0000-0000-00000000c001', 1, 'second', '2024-05-17 12:02:00.000002+00'),
	('00000000-0000-0000-0000-00000001fffc', '00000000-0000-0000-0000-00000000c001', 2, '', '2024-05-17 12:04:00.000003+00'),
	('00000000-0000-0000-0000-00000001fffb', '00000000-0000-0000-0000-00000000c001', 3, 'not my room', '2024-05-17 12:05:00.000004+00'),
	('00000000-0000-0000-0000-00000002ffff', '00000000-0000-0000-0000-00000000c002', 3, 'message 1', '2024-05-17 12:01:00+00'),
	('00000000-0000-0000-0000-00000002fffe', '00000000-0000-0000-0000-00000000c002', 3, 'message 2', '2024-05-17 12:02:00.000001+00'),
	('00000000-0000-0000-0000-00000002fffd', '00000000-0000-0000-0000-00000000c002', 3, 'message 3', '2024-05-17 12:03:00.000002+00'),
	('00000000-0000-0000-0000-00000002fffc', '00000000-0000-0000-0000-00000000c002', 3, 'message 4', '2024-05-17 12:04:00.000003+00'),
	('00000000-0000-0000-0000-00000002fffb', '00000000-0000-0000-0000-00000000c002', 3, 'message 5', '2024-05-17 12:05:00.000004+00'),
	('00000000-0000-0000-0000-00000003ffff', '00000000-0000-0000-0000-00000000c003', 1, 'in two conversations: 1', '2024-05-17 12:01:00+00'),
	('00000000-0000-0000-0000-00000003fffe', '00000000-0000-0000-0000-00000000c003', 4, 'in two conversations: 3', '2024-05-17 12:03:00.000001+00'),
	('00000000-0000-0000-0000-00000004ffff', '00000000-0000-0000-0000-00000000c004', 4, 'in two conversations: 2', '2024-05-17 12:02:00+00'),
	('00000000-0000-0000-0000-00000005ffff', '00000000-0000-0000-0000-00000000c005', 2, 'a therapist is no customer', '2024-05-17 12:01:00+00'),
	('00000000-0000-0000-0000-00000006ffff', '00000000-0000-0000-0000-00000000c006', 2, 'to somebody who stays behind', '2024-05-17 12:01:00+00'),
	('00000000-0000-0000-0000-0000000f0000', NULL, 1, 'to nobody', '2024-05-17 12:00:00+00');
INSERT INTO public.django_content_type VALUES
	(1, 'auth', 'permission'),
	(2, 'auth', 'group'),
	(3, 'contenttypes', 'contenttype'),
	(4, 'app', 'user'),
	(5, 'chat', 'conversation'),
	(6, 'chat', 'message');
SELECT pg_catalog.setval('public.app_user_groups_id_seq', 1, false);
SELECT pg_catalog.setval('public.app_user_id_seq', 1, false);
SELECT pg_catalog.setval('public.app_user_user_permissions_id_seq', 1, false);
SELECT pg_catalog.setval('public.auth_group_id_seq', 1, false);
SELECT pg_catalog.setval('public.auth_group_permissions_id_seq', 1, false);
SELECT pg_catalog.setval('public.auth_permission_id_seq', 24, true);
SELECT pg_catalog.setval('public.django_content_type_id_seq', 6, true);
SELECT pg_catalog.setval('public.django_migrations_id_seq', 1, false);
ALTER TABLE ONLY public.app_user_groups
    ADD CONSTRAINT app_user_groups_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.app_user_groups
    ADD CONSTRAINT app_user_groups_user_id_group_id_73b8e940_uniq UNIQUE (user_id, group_id);
ALTER TABLE ONLY public.app_user
    ADD CONSTRAINT app_user_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.app_user_user_permissions
    ADD CONSTRAINT app_user_user_permissions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.app_user_user_permissions
    ADD CONSTRAINT app_user_user_permissions_user_id_permission_id_7c8316ce_uniq UNIQUE (user_id, permission_id);
ALTER TABLE ONLY public.app_user
    ADD CONSTRAINT app_user_username_key UNIQUE (username);
ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_name_key UNIQUE (name);
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_permission_id_0cd325b0_uniq UNIQUE (group_id, permission_id);
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_codename_01ab375a_uniq UNIQUE (content_type_id, codename);
ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.chat_conversation
    ADD CONSTRAINT chat_conversation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.chat_message
    ADD CONSTRAINT chat_message_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_app_label_model_76bd3d3b_uniq UNIQUE (app_label, model);
ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.django_migrations
    ADD CONSTRAINT django_migrations_pkey PRIMARY KEY (id);
CREATE INDEX app_user_groups_group_id_e774d92c ON public.app_user_groups USING btree (group_id);
CREATE INDEX app_user_groups_user_id_e6f878f6 ON public.app_user_groups USING btree (user_id);
CREATE INDEX app_user_user_permissions_permission_id_4ef8e133 ON public.app_user_user_permissions USING btree (permission_id);
CREATE INDEX app_user_user_permissions_user_id_24780b52 ON public.app_user_user_permissions USING btree (user_id);
CREATE INDEX app_user_username_9d6296ff_like ON public.app_user USING btree (username varchar_pattern_ops);
CREATE INDEX auth_group_name_a6ea08ec_like ON public.auth_group USING btree (name varchar_pattern_ops);
CREATE INDEX auth_group_permissions_group_id_b120cbf9 ON public.auth_group_permissions USING btree (group_id);
CREATE INDEX auth_group_permissions_permission_id_84c5c92e ON public.auth_group_permissions USING btree (permission_id);
CREATE INDEX auth_permission_content_type_id_2f476e4b ON public.auth_permission USING btree (content_type_id);
CREATE INDEX chat_conversation_customer_id_9b2323d3 ON public.chat_conversation USING btree (customer_id);
CREATE INDEX chat_conversation_therapist_id_028c447b ON public.chat_conversation USING btree (therapist_id);
CREATE INDEX chat_message_conversation_id_a1207bf4 ON public.chat_message USING btree (conversation_id);
CREATE INDEX chat_message_sender_id_991c686c ON public.chat_message USING btree (sender_id);
ALTER TABLE ONLY public.app_user_groups
    ADD CONSTRAINT app_user_groups_group_id_e774d92c_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.app_user_groups
    ADD CONSTRAINT app_user_groups_user_id_e6f878f6_fk_app_user_id FOREIGN KEY (user_id) REFERENCES public.app_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.app_user_user_permissions
    ADD CONSTRAINT app_user_user_permis_permission_id_4ef8e133_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.app_user_user_permissions
    ADD CONSTRAINT app_user_user_permissions_user_id_24780b52_fk_app_user_id FOREIGN KEY (user_id) REFERENCES public.app_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissio_permission_id_84c5c92e_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_b120cbf9_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_2f476e4b_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.chat_conversation
    ADD CONSTRAINT chat_conversation_customer_id_9b2323d3_fk_app_user_id FOREIGN KEY (customer_id) REFERENCES public.app_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.chat_conversation
    ADD CONSTRAINT chat_conversation_therapist_id_028c447b_fk_app_user_id FOREIGN KEY (therapist_id) REFERENCES public.app_user(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.chat_message
    ADD CONSTRAINT chat_message_conversation_id_a1207bf4_fk_chat_conversation_id FOREIGN KEY (conversation_id) REFERENCES public.chat_conversation(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.chat_message
    ADD CONSTRAINT chat_message_sender_id_991c686c_fk_app_user_id FOREIGN KEY (sender_id) REFERENCES public.app_user(id) DEFERRABLE INITIALLY DEFERRED;
