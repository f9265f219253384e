"""Fills a database as the predecessor, a real Django, would have left it: make.py HOST PORT NAME USER (PGPASSWORD)."""
import datetime
import os
import sys
import uuid

import django
from django.conf import settings

host, port, name, user = sys.argv[1:5]
settings.configure(
    SECRET_KEY="of a test",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "app", "chat"],
    AUTH_USER_MODEL="app.User",
    MIGRATION_MODULES={app: None for app in ("auth", "contenttypes", "app", "chat")},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "HOST": host, "PORT": port,
        "NAME": name, "USER": user, "PASSWORD": os.environ.get("PGPASSWORD", ""),
    }},
)
django.setup()

from django.core.management import call_command  # noqa: E402
from app.models import User  # noqa: E402
from chat.models import Conversation, Message  # noqa: E402

call_command("migrate", run_syncdb=True, verbosity=0)
noon = datetime.datetime(2024, 5, 17, 12, 0, 0, tzinfo=datetime.timezone.utc)


def person(id, role, email, password="", **more):
    u = User(id=id, username=f"user{id}", role=role, email=email, date_joined=noon, **more)
    if password:
        u.set_password(password)
    else:
        u.set_unusable_password()
    u.save(force_insert=True)
    return u


ann = person(1, "customer", "ann@example.com", "old password of ann", phone="+43660111")
ben = person(2, "therapist", "Ben@Example.com", "old password of ben", phone="+43660222")
cara = person(3, "client", "cara@example.com", "old password of cara")
dora = person(4, "therapist", "dora@example.com", "old password of dora")
person(5, "customer", "ANN@example.com", "old password of the other ann")  # differs by case alone
person(6, "robot", "robot@example.com")
person(7, "customer", "", "old password of nobody", phone="+43660777")
person(8, "customer", "gone@example.com", "old password of gone", is_active=False)
person(9, "support", "sue@example.com", "old password of sue")
person(10, "customer", "same-phone@example.com", phone="+43660111")
odd = person(11, "customer", "odd@example.com")
User.objects.filter(id=11).update(password="bcrypt_sha256$$2b$12$abcdefghijklmnopqrstuv")
person(2**53, "customer", "far@example.com")


def talk(n, customer, therapist, texts, id=None):
    c = Conversation.objects.create(id=id or uuid.UUID(int=0xC000 + n), customer=customer, therapist=therapist, created_at=noon)
    for i, (sender, text, minute) in enumerate(texts):
        # The ids run against the times: the times decide.
        Message.objects.create(
            id=uuid.UUID(int=(n << 16) + 0xFFFF - i), conversation=c, sender=sender, message=text,
            created_at=noon + datetime.timedelta(minutes=minute, microseconds=i),
        )
    return c


talk(1, ann, ben, [(ann, "first", 1), (ben, "third ✓", 3), (ann, "second", 2), (ben, "", 4), (cara, "not my room", 5)])
talk(2, cara, dora, [(cara, f"message {i}", i) for i in range(1, 6)])
talk(3, ann, dora, [(ann, "in two conversations: 1", 1), (dora, "in two conversations: 3", 3)])
talk(4, ann, dora, [(dora, "in two conversations: 2", 2)])
talk(5, ben, dora, [(ben, "a therapist is no customer", 1)])
talk(6, User.objects.get(id=5), ben, [(ben, "to somebody who stays behind", 1)])
Message.objects.create(id=uuid.UUID(int=0xF0000), conversation=None, sender=ann, message="to nobody", created_at=noon)
