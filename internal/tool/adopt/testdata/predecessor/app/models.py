from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    id = models.BigAutoField(primary_key=True)
    phone = models.CharField(max_length=32, null=True, blank=True)
    role = models.CharField(max_length=16)
